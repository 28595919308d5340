"""``mfn fips``: the FIPS module of the home folder, installed and proven."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.options import PATH
from mycelium_fractal_net.cli.parsing import CommandGroup

if TYPE_CHECKING:
    from mycelium_fractal_net.fips import Proof

_OFF: Final = "FIPS mode is off; MFN_FIPS_MODE=true switches it on"

fips = CommandGroup("fips", help="Install an OpenSSL FIPS provider, and see what it is.")


@fips.add("install")
@click.argument("file", metavar="FIPS_SO", type=PATH)
@click.option(
    "--sha256",
    metavar="HEX",
    required=True,
    help="The SHA-256 of the file, from whoever it comes from.",
)
def _install(invocation: Invocation, file: Path, sha256: str) -> None:
    """Copy a provider's file into the home folder, and prove that it works.

    It takes no `openssl` command. FIPS mode itself is switched on by MFN_FIPS_MODE=true.
    """
    from mycelium_fractal_net.fips import install_module, start

    invocation.sets_fips_up = False
    settings = invocation.settings()
    install_module(file, sha256, settings)
    proof = start(settings)
    invocation.answer(
        _shape(proof, enabled=settings.security.fips_mode),
        f"installed {proof.module.file}, and proved it",
        *(() if settings.security.fips_mode else (_OFF,)),
    )


@fips.add("status")
def _status(invocation: Invocation) -> None:
    """Say whether FIPS mode is on, and which module this process runs on, once it is proven."""
    from mycelium_fractal_net.fips import start

    invocation.sets_fips_up = False
    settings = invocation.settings()
    shape = _shape(start(settings), enabled=settings.security.fips_mode)
    proven = shape.pop("proven") if not invocation.json else ()
    invocation.answer_fields(shape)
    for each in proven:
        invocation.say(f"  {each}")


def _shape(proof: Proof, *, enabled: bool) -> dict[str, Any]:
    return {
        "fips_mode": enabled,
        "provider": "OpenSSL FIPS provider",
        "installed_at": proof.module.installed_at,
        **proof.shape(),
    }
