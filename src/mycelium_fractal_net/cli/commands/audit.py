"""``mfn audit``: verify the audit records, keep their heads elsewhere, read them."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fractal_net.cli import options
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import read_small
from mycelium_fractal_net.cli.numbers import WholeNumber
from mycelium_fractal_net.cli.options import PATH
from mycelium_fractal_net.cli.parsing import CommandGroup
from mycelium_fractal_net.cli.terminal import complain, counted, json_array
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.security.audit import AuditReport, Head
    from mycelium_fractal_net.security.audit.verification import ChainFault, ChainReport

_HEADS_BYTES: Final = 16 << 20  # a head a day of each of a hundred chains, for three years
# Not compiled here: every command loads this file.
_TIMESTAMP: Final = "[0-9]{4}(?:-[0-9]{2}){2}T[0-9]{2}(?::[0-9]{2}){2}(?:[.][0-9]{1,6})?Z"
_SHOWN: Final = ("time", "event", "outcome", "key", "actor")
_NOT_SHOWN: Final = ("chain", "sequence", "mark", "former")  # for machines: --json has them


audit = CommandGroup("audit", help="Verify and read the audit records of this machine.")


@audit.add("verify")
@click.option(
    "--head",
    metavar="FILE",
    type=PATH,
    help="Heads that were kept elsewhere, as 'mfn audit head' prints them.",
)
@click.option(
    "--all", "again", is_flag=True, help="Read again what was verified before; else it is hashed."
)
@options.also
def _verify(invocation: Invocation, head: Path | None, again: bool, also: tuple[Path, ...]) -> None:
    """Verify every audit record of this machine, and say of each fault what it is and where."""
    heads = [] if head is None else _read_heads(head)
    report = _report(invocation, heads, also, again=again)
    if invocation.json:
        invocation.answer(_report_shape(report))
    else:
        _tell(invocation, report)
    if report.faults:
        raise click.exceptions.Exit(ExitCode.NOT_AUTHENTIC)


@audit.add("acknowledge")
@click.argument("chain", metavar="[CHAIN]...", nargs=-1, help="Of these chains alone.")
@click.option("--reason", metavar="TEXT", required=True, help="Why, for the audit log.")
@options.also
def _acknowledge(
    invocation: Invocation, chain: tuple[str, ...], reason: str, also: tuple[Path, ...]
) -> None:
    """Say that the faults which 'mfn audit verify' finds now are known. This is recorded.

    Doctor then tells of them as a notice, and 'mfn audit verify' exits with 0, until there is
    another one.
    """
    from mycelium_fractal_net.bootstrap import audit_report

    settings = invocation.settings()
    with invocation.keyring() as keyring, _readable(settings.audit_folder):
        provider = keyring.provider
        found = audit_report(settings, provider, also=also).faults
        faults = [fault for fault in found if not chain or fault.chain in chain]
        if faults and provider.audit is not None:
            provider.audit.acknowledge(faults, reason, provider.clock())
    said = [f"acknowledged: {fault}" for fault in faults] or ["there is nothing to acknowledge"]
    shapes = [{"chain": fault.chain or None, **_fault_shape(fault)} for fault in faults]
    invocation.answer(shapes, *said)


@audit.add("head")
def _head(invocation: Invocation) -> None:
    """Print how far each chain has come, a line of JSON each: keep them on another machine.

    Of each chain no more is looked at than the record that the store was told of, however long it
    is. A chain where that is not there has no line: 'mfn audit verify' says why.
    """
    report = _report(invocation, ends_only=True)
    heads = (
        {"chain": chain.chain, "sequence": chain.anchor.sequence, "mac": chain.anchor.mac.hex()}
        for chain in report.chains
        if chain.anchor is not None and chain.anchor.sequence and not chain.faults
    )
    if invocation.json:
        json_array(heads)
    else:
        for each in heads:
            print(json.dumps(each, separators=(",", ":")))
    if report.faults:
        _complain(report.faults)
        raise click.exceptions.Exit(ExitCode.NOT_AUTHENTIC)


@audit.add("show")
@click.option("--key", metavar="KEY", help="Of a key with all its versions, or of one.")
@click.option("--actor", metavar="ACTOR", help="A credential's id, cli:UID, library or system.")
@click.option("--event", metavar="EVENT", help="Such as decrypt; key finds key.rotate too.")
@click.option("--since", metavar="TIME", help="In UTC, such as 2026-03-01T12:00:00Z.")
@click.option("--until", metavar="TIME", help="The same.")
@click.option("--limit", metavar="N", type=WholeNumber(1, 100000), default=100, help="At most.")
def _show(
    invocation: Invocation,
    key: str | None,
    actor: str | None,
    event: str | None,
    since: str | None,
    until: str | None,
    limit: int,
) -> None:
    """Show audit records of this machine, newest first. They are read and not verified."""
    from mycelium_fractal_net.security.audit import query

    for timestamp in (since, until):
        if timestamp is not None and re.fullmatch(_TIMESTAMP, timestamp) is None:
            raise CommandError(
                ExitCode.USAGE,
                "a time is in UTC, in the form of RFC 3339",
                "write it as 2026-03-01T12:00:00Z",
            )
    folder = invocation.settings().audit_folder
    with _readable(folder):
        found = query(
            folder, key=key, actor=actor, event=event, since=since, until=until, limit=limit
        )
    heads = ", ".join((*_SHOWN, "more")).upper()
    invocation.answer_table(found, lambda record: record, heads, _row)


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    more = (
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in record.items()
        if name not in _SHOWN + _NOT_SHOWN
    )
    return (*(str(record.get(name, "-")) for name in _SHOWN), " ".join(more))


def _report(
    invocation: Invocation,
    heads: Sequence[Head] = (),
    also: Sequence[Path] = (),
    *,
    ends_only: bool = False,
    again: bool = False,
) -> AuditReport:
    from mycelium_fractal_net.bootstrap import verify_audit

    settings = invocation.settings()
    with _readable(settings.audit_folder):
        return verify_audit(
            settings, invocation.passphrase, heads, also=also, ends_only=ends_only, again=again
        )


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Let an error of the system say that it is the records that cannot be read."""
    try:
        yield
    except OSError as error:
        raise CommandError(
            ExitCode.INPUT,
            f"the audit records cannot be read: {error.filename or folder}: {error.strerror}",
            "run it as the user that mfn runs as",
        ) from None


def _read_heads(path: Path) -> list[Head]:
    from mycelium_fractal_net.security.audit.verification import read_heads

    try:
        return read_heads(read_small(path, _HEADS_BYTES, "a file of heads"))
    except (ValueError, RecursionError):
        raise CommandError(
            ExitCode.USAGE, f"{path} holds something that is no head", "'mfn audit head' makes them"
        ) from None


def _tell(invocation: Invocation, report: AuditReport) -> None:
    for chain in report.chains:
        if not chain.faults:
            invocation.say(f"chain {chain.chain}: {_summary(chain)}")
    if report.elsewhere:
        found = counted(len(report.elsewhere), "chain")
        invocation.say(f"{found} of other machines: verify them there")
    if report.before:
        found = counted(len(report.before), "chain")
        machines = ", ".join(sorted({each.machine for each in report.before}))
        said = f"{found} of before the restore, whose records stayed in the audit folder {machines}"
        invocation.say(said)
    for fault in report.acknowledged:
        invocation.say(f"acknowledged: {fault}")
    if report.faults:
        _complain(report.faults)
        complain("the audit records are not whole; keep the folder as it is for whoever looks")
        return
    count, records = counted(len(report.chains), "chain"), counted(report.records, "record")
    known = len(report.acknowledged)
    whole = f"whole but for {counted(known, 'fault')} that somebody knows of" if known else "whole"
    invocation.say(f"{whole}: {count}, {records}")


def _summary(chain: ChainReport) -> str:
    said = f"{counted(chain.records, 'record')}, {chain.past_anchor} of them past the anchor"
    if chain.begins > 1:
        said += f"; begins with record {chain.begins}, after a head that was kept"
    if chain.torn_bytes:
        said += f"; {chain.torn_bytes} torn bytes at its end, which a crash leaves"
    if not chain.ended:
        said += "; its process writes it still, or was killed: then the last seconds may be missing"
    return said


def _complain(faults: list[ChainFault]) -> None:
    for fault in faults:
        complain(str(fault))


def _fault_shape(fault: ChainFault) -> dict[str, Any]:
    from mycelium_fractal_net.shapes import time_text

    known = fault.acknowledged
    return {
        "record": fault.sequence,
        "what": fault.what,
        "acknowledged": None
        if known is None
        else {"at": time_text(known.time), "actor": known.actor, "reason": known.reason},
    }


def _report_shape(report: AuditReport) -> dict[str, Any]:
    return {
        "whole": not report.faults,
        "records": report.records,
        "chains": [
            {
                "chain": chain.chain,
                "begins": chain.begins,
                "records": chain.records,
                "past_anchor": chain.past_anchor,
                "ended": chain.ended,
                "torn_bytes": chain.torn_bytes,
                "faults": [_fault_shape(each) for each in chain.faults],
            }
            for chain in report.chains
        ],
        "faults": [_fault_shape(each) for each in report.of_store],
        "elsewhere": report.elsewhere,
        "before_restore": [
            {"chain": each.chain_id, "machine": each.machine, "record": each.sequence}
            for each in report.before
        ],
    }
