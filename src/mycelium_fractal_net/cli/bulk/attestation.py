"""``--finished KEY``: that nothing is under a key's older versions any more, on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mycelium_fractal_net.cli.completion import key_names
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.parsing import record
from mycelium_fractal_net.cli.terminal import complain
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.security.keyring.keyring import Keyring


@dataclass(slots=True)
class Attestation:
    """The operator's word that what a rewrap takes is all that the key has sealed."""

    key: str
    reason: str
    newest: int = 0

    def begin(self, keyring: Keyring) -> None:
        """Note the version that everything is to be moved to. Raises as :meth:`end`."""
        self.newest = keyring.provider.keys.get(self.key).primary.version

    def end(self, invocation: Invocation, keyring: Keyring, failures: int) -> None:
        """Record it, unless something failed.

        Raises :class:`KeyStateError` where the key was rotated meanwhile, or older versions were
        used in a way that a rewrap of today does not cover.
        """
        if failures:
            complain(f"not recorded for {self.key}: not everything was moved")
            return
        keyring.provider.retirement.record_rewrap(self.key, reason=self.reason, newest=self.newest)
        invocation.say(f"recorded: nothing is under older versions of {self.key} any more")


def _attestation(finished: str | None, reason: str | None) -> Attestation | None:
    if finished is None and reason is None:
        return None
    if finished is None:
        raise CommandError(ExitCode.USAGE, "--reason is for --finished", "add --finished KEY")
    if reason is None or not reason.strip():
        raise CommandError(
            ExitCode.USAGE,
            "--finished needs a reason",
            "say with --reason how you know that there is no other data",
        )
    return Attestation(finished, reason)


# Parameter ``attestation``, an Attestation or None.
attestation = record(
    "attestation",
    _attestation,
    click.option(
        "--finished",
        metavar="KEY",
        help="Record that all data of KEY is under its newest version by now, if nothing fails:"
        " its older versions may then go. Needs --reason.",
        shell_complete=key_names,
    ),
    click.option(
        "--reason",
        metavar="TEXT",
        help="With --finished: how you know that there is no other data. For the audit log.",
    ),
)
