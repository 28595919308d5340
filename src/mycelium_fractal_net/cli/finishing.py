"""``--finished KEY``: that nothing is under a key's older versions any more, on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from mycelium_fractal_net.cli.completion import key_names
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.terminal import complain, say
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.session import Session
    from mycelium_fractal_net.security.keyring.keyring import Keyring

__all__ = ["Finished", "Finishing", "Reason", "finishing"]

Finished = Annotated[
    str | None,
    typer.Option(
        "--finished",
        metavar="KEY",
        help="Record that all data of KEY is under its newest version by now, if nothing fails:"
        " its older versions may then go. Needs --reason.",
        autocompletion=key_names,
    ),
]
Reason = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="With --finished: how you know that there is no other data. For the audit log.",
    ),
]


@dataclass(slots=True)
class Finishing:
    """The operator's word that what a rewrap takes is all that the key has sealed."""

    key: str
    reason: str
    newest: int = 0

    def begin(self, keyring: Keyring) -> None:
        """Note the version that everything is to be moved to. Raises as :meth:`end`."""
        self.newest = keyring.provider.key(self.key).primary.version

    def end(self, session: Session, keyring: Keyring, failures: int) -> None:
        """Record it, unless something failed.

        Raises :class:`KeyStateError` where the key was rotated meanwhile, or older versions were
        used in a way that a rewrap of today does not cover.
        """
        if failures:
            complain(f"not recorded for {self.key}: not everything was moved")
            return
        keyring.provider.record_rewrap(self.key, reason=self.reason, newest=self.newest)
        say(
            f"recorded: nothing is under older versions of {self.key} any more",
            quiet=session.quiet,
        )


def finishing(key: str | None, reason: str | None) -> Finishing | None:
    """What the two options say. Raises :class:`CommandError` for one without the other."""
    if key is None and reason is None:
        return None
    if key is None:
        raise CommandError(ExitCode.USAGE, "--reason is for --finished", "add --finished KEY")
    if reason is None or not reason.strip():
        raise CommandError(
            ExitCode.USAGE,
            "--finished needs a reason",
            "say with --reason how you know that there is no other data",
        )
    return Finishing(key, reason)
