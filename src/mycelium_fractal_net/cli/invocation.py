"""What one run of ``mfn`` knows: its global options, and how to open what they name."""

from __future__ import annotations

import contextlib
import gc
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mycelium_fractal_net.cli import passphrase
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.terminal import (
    columns,
    complain,
    is_confirmed,
    json_array,
    json_value,
    progress_bar,
    say,
)
from mycelium_fractal_net.security.errors import ExitCode, StoreIntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from mycelium_fractal_net.cli.terminal import ProgressBar
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.key_providers.authenticated_table import AuthenticatedTable
    from mycelium_fractal_net.security.key_store.kinds import R
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
    json: bool = False
    yes: bool = False
    options: frozenset[str] = frozenset()  # those that the command has
    sets_fips_up: bool = True  # where the settings ask for it
    _told_home: bool = False
    ended_by: int | None = None  # the signal that ended the run, where it was not Ctrl-C
    ends_when_asked: bool = False  # what runs until a signal: to end by one is a success

    def say(self, text: str) -> None:
        """Print one line of outcome, unless ``--quiet``, or ``--json`` prints something else."""
        if not (self.quiet or self.json):
            say(text)

    def answer(self, shape: Any, *lines: str) -> None:
        """Print the outcome of the command: with ``--json`` as ``shape``, otherwise in lines."""
        if self.json:
            json_value(shape)
        for line in lines:
            self.say(line)

    def answer_fields(self, shape: Mapping[str, Any], **instead: str) -> None:
        """Print a record that was asked for, a field a line; ``instead`` are words for people."""
        if self.json:
            json_value(shape)
            return
        for field, value in {**shape, **instead}.items():
            say(f"{field:16} {'-' if value is None else value}")

    def answer_table(
        self,
        found: Iterable[Any],
        shape: Callable[[Any], Any],
        heads: str,
        row: Callable[[Any], Sequence[str]],
    ) -> None:
        """Print a list that was asked for as it comes, under ``heads``, which commas part."""
        if self.json:
            json_array(map(shape, found))
        else:
            columns(heads.split(", "), map(row, found))

    def answer_records(
        self,
        table: AuthenticatedTable[R],
        shape: Callable[[R], Any],
        heads: str,
        row: Callable[[R], Sequence[str]],
    ) -> None:
        """Print the records of a table, as :meth:`answer_table`; at the end name what is refused.

        Where one is, the command ends with the exit code of a damaged store.
        """
        import click

        refused: list[StoreIntegrityError] = []

        def sound() -> Iterator[R]:
            for _, found in table.each():
                if isinstance(found, StoreIntegrityError):
                    refused.append(found)
                else:
                    yield found

        self.answer_table(sound(), shape, heads, row)
        for each in refused:
            complain(f"{each}; it is not listed: 'mfn doctor' says more")
        if refused:
            raise click.exceptions.Exit(refused[0].kind.exit_code)

    def progress(
        self, label: str, total: int | Callable[[], int] | None, *, items: bool = False
    ) -> ProgressBar:
        """A progress bar, unless ``--quiet``; see :func:`.terminal.progress_bar`."""
        return progress_bar(label, total, quiet=self.quiet, items=items)

    def settings(self, server: Mapping[str, object] | None = None) -> Settings:
        """The configuration that is in force, for the service where ``server`` has its settings.

        Everywhere else audit records do not get into what a command prints. Raises
        :class:`ConfigurationError`.
        """
        from msgspec.structs import replace

        from mycelium_fractal_net.config import load_settings

        found = load_settings(self.config, store=self.store, home=self.home, server=server)
        if self.sets_fips_up and found.security.fips_mode:
            from mycelium_fractal_net.fips import start

            start(found)
        self._tell_home(found)
        if self.passphrase_fd is not None:  # which comes before any file
            found = replace(found, master_key=replace(found.master_key, passphrase_file=None))
        if server is not None or found.audit.export != "stdout":
            return found
        return replace(found, audit=replace(found.audit, export="none"))

    def _tell_home(self, settings: Settings) -> None:
        """Say where the store is, where nobody has: as under a service manager without HOME."""
        from mycelium_fractal_net.config import user_variable

        named = settings.home_folder or user_variable("HOME") or user_variable("XDG_DATA_HOME")
        if named is None and not (self.quiet or self._told_home):
            self._told_home = True
            complain(f"HOME is not set: key store and master key are in {settings.home}")

    def names_configuration(self) -> bool:
        """Whether the user named a configuration, and does not just get that of ``dev``."""
        from mycelium_fractal_net.config import names_configuration

        return names_configuration(self.config)

    def confirm(self, what: str) -> None:
        """Ask before what cannot be undone, where a person is there and did not say ``--yes``.

        Raises :class:`CommandError` where the answer is not yes.
        """
        if not self.yes and not is_confirmed(what):
            raise CommandError(ExitCode.USAGE, "not confirmed", "nothing was done")

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
        opening = open_keyring(settings=self.settings(), passphrase=asked, record_uses=False)
        with self.acting(), opening as keyring:
            if not gc.isenabled():  # main() switched it off while the program loads
                gc.freeze()
                gc.enable()
            yield keyring
