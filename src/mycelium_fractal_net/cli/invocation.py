"""What one run of ``mfn`` knows: its global options, and how to open what they name."""

from __future__ import annotations

import contextlib
import gc
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mycelium_fractal_net.cli import passphrase
from mycelium_fractal_net.cli.terminal import progress_bar, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from mycelium_fractal_net.cli.terminal import ProgressBar
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.keyring.keyring import Keyring


@dataclass(slots=True)
class Invocation:
    """The global options. Nothing is opened before a command asks for it."""

    config: str | None = None
    home: str | None = None
    store: str | None = None
    passphrase_fd: int | None = None
    debug: bool = False
    quiet: bool = False
    ended_by: int | None = None  # the signal that ended the run, where it was not Ctrl-C

    def say(self, text: str) -> None:
        """Print one line of outcome, unless ``--quiet``."""
        if not self.quiet:
            say(text)

    def progress(
        self, label: str, total: int | Callable[[], int] | None, *, items: bool = False
    ) -> ProgressBar:
        """A progress bar, unless ``--quiet``; see :func:`.terminal.progress_bar`."""
        return progress_bar(label, total, quiet=self.quiet, items=items)

    def settings(self, server: Mapping[str, object] | None = None) -> Settings:
        """The configuration that is in force. Raises :class:`ConfigurationError`."""
        from mycelium_fractal_net.config import load_settings

        return load_settings(self.config, store=self.store, home=self.home, server=server)

    def names_configuration(self) -> bool:
        """Whether the user named a configuration, and does not just get that of ``dev``."""
        from mycelium_fractal_net.config import names_configuration

        return names_configuration(self.config)

    def passphrase(self) -> bytes:
        """The passphrase of the master key, from ``--passphrase-fd`` or asked for."""
        if self.passphrase_fd is not None:
            return passphrase.read_descriptor(self.passphrase_fd)
        return passphrase.ask()

    def acting(self) -> AbstractContextManager[None]:
        """Within it, audit records name the user who runs the command: ``cli:UID``."""
        from mycelium_fractal_net.security.audit import acting_as

        return acting_as(f"cli:{os.getuid()}")

    @contextlib.contextmanager
    def keyring(self, *, may_ask: bool = True) -> Iterator[Keyring]:
        """The keyring over the store that the options and the configuration name.

        The passphrase is asked for where the master key has one, unless ``may_ask`` is false.
        Uses are not recorded by it: a command records itself, :mod:`.recording`.
        """
        from mycelium_fractal_net.bootstrap import open_keyring

        asked = self.passphrase if may_ask else None
        settings = _without_export_to_stdout(self.settings())
        with (
            self.acting(),
            open_keyring(settings=settings, passphrase=asked, record_uses=False) as keyring,
        ):
            if not gc.isenabled():  # main() switched it off while the program loads
                gc.freeze()
                gc.enable()
            yield keyring


def _without_export_to_stdout(settings: Settings) -> Settings:
    """Settings under which audit records do not get into what a command prints."""
    from msgspec.structs import replace

    if settings.audit.export != "stdout":
        return settings
    return replace(settings, audit=replace(settings.audit, export="none"))
