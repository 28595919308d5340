"""``mfn inventory``: every key, algorithm, protocol and certificate, as a CycloneDX CBOM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.options import force
from mycelium_fractal_net.cli.outputs import destination, output_stream
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.cli.terminal import complain, counted, json_text
from mycelium_fractal_net.security.errors import ExitCode, StoreIntegrityError

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.inventory import Inventory, QuantumView

_HEADS = "ALGORITHM, QUANTUM, CATEGORY, WHICH MEANS, USED BY, INSTEAD"


@command("inventory")
@click.option(
    "--quantum", is_flag=True, help="Show what falls to a quantum computer, and what replaces it."
)
@click.option("--output", "-o", metavar="FILE", help="Write the CBOM there; - is standard output.")
@force
def inventory(invocation: Invocation, quantum: bool, output: str | None, force: bool) -> None:
    """Write the cryptographic inventory, a CycloneDX 1.6 CBOM. No secret is in it.

    It is the same, byte for byte, while nothing changes and SOURCE_DATE_EPOCH says the time.
    """
    if quantum and output is not None:
        raise CommandError(ExitCode.USAGE, "--quantum prints", "leave -o away")
    target = destination("-", output)
    settings = invocation.settings()  # which sets FIPS mode up, before anything is imported
    from mycelium_fractal_net.inventory import cbom, quantum_view, take_inventory

    taken = take_inventory(settings, invocation.passphrase)
    if quantum:
        invocation.answer_table(quantum_view(taken), _shape, _HEADS, _row)
    else:
        with output_stream(target, force=force) as writer:
            writer.write(f"{json_text(cbom(taken))}\n".encode())
        if target is not None:
            invocation.answer({"file": str(target)}, f"wrote {target}: {_counts(taken)}")
    for each in taken.refused:
        complain(f"{each}; it is not in the inventory: 'mfn doctor' says more")
    if taken.refused:
        raise click.exceptions.Exit(StoreIntegrityError.kind.exit_code)


def _counts(taken: Inventory) -> str:
    return f"{counted(len(taken.materials), 'key')}, {counted(len(taken.users()), 'algorithm')}"


def _shape(row: QuantumView) -> dict[str, object]:
    return row.shape()


def _row(row: QuantumView) -> tuple[str, ...]:
    by = "" if row.consequence is None or row.by is None else f" ({row.by})"
    category = "-" if row.category is None else str(row.category)
    means, instead = row.consequence or "-", row.instead or "-"
    return row.algorithm, f"{row.quantum}{by}", category, means, row.users(), instead
