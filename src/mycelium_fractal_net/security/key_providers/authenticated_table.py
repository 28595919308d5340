"""Records that are trusted: checked when they come out of the store, sealed when they go in.

Between the key store, which knows no cryptography, and the custodian, which knows no records.
Keys, credentials and signers are kept, refused and swapped by this one code.
"""

from __future__ import annotations

import random
import time
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, cast

from mycelium_fractal_net.security.errors import (
    ConflictError,
    KeyExistsError,
    KeyNotFoundError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_store.kinds import R
from mycelium_fractal_net.security.key_store.record_table import or_raise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from mycelium_fractal_net.security.key_providers.journal import Journal
    from mycelium_fractal_net.security.key_providers.record_macs import RecordMacs
    from mycelium_fractal_net.security.key_store import Stored
    from mycelium_fractal_net.security.key_store.record_table import Also, RecordTable

PATIENCE_SECONDS: Final = 10.0  # for which a writer that loses race after race goes on
_LONGEST_PAUSE: Final = 0.2
_PAGE: Final = 1000


class AuthenticatedTable(Generic[R]):
    """The records of one kind, each authenticated under the MAC key of its master key.

    All methods may be called from any thread. A record that fails its authentication, or whose
    MAC key cannot be read, is refused with a :class:`StoreIntegrityError` that names it, and it
    alone. They raise :class:`StoreUnavailableError` where the store does not answer, and
    :class:`MasterKeyError` where the store's own master key is not here.
    """

    def __init__(
        self,
        table: RecordTable[R],
        record_macs: RecordMacs,
        journal: Journal,
        clock: Callable[[], datetime],
    ) -> None:
        self.table = table
        self.kind = table.kind
        self.record_macs = record_macs
        self.journal = journal
        self.clock = clock

    # Reading ------------------------------------------------------------------------------

    def get(self, record_id: str) -> R:
        """The record of that id. Raises :class:`KeyNotFoundError`."""
        return self.checked(self.table.load(record_id))

    def page(
        self, after: str = "", limit: int = _PAGE, *, since: int = -1
    ) -> list[tuple[str, R | StoreIntegrityError]]:
        """Up to ``limit`` records whose ids sort after ``after``, in order, each with its id.

        One that is refused is given as its error: it must not keep the others from their work.
        Only those that changed after the store's generation ``since``.
        """
        page = self.table.page(after, limit, since=since)
        return [(name, self._found(stored)) for name, stored in page]

    def all(self) -> Iterator[R]:
        """Every record, in order of id, read a page at a time, if each is in order."""
        for _, found in self.each():
            yield or_raise(found)

    def each(self, since: int = -1) -> Iterator[tuple[str, R | StoreIntegrityError]]:
        """All of what :meth:`page` gives, read a page at a time."""
        after: str | None = ""
        while after is not None:
            page = self.page(after, _PAGE, since=since)
            yield from page
            after = page[-1][0] if len(page) == _PAGE else None

    def some(self, ids: Sequence[str]) -> Iterator[tuple[str, R | StoreIntegrityError]]:
        """Those of these records that are there, a page at a time; refused ones as their error."""
        for start in range(0, len(ids), _PAGE):
            for name, stored in self.table.some(ids[start : start + _PAGE]):
                yield name, self._found(stored)

    def _found(self, stored: Stored[R] | StoreIntegrityError) -> R | StoreIntegrityError:
        if isinstance(stored, StoreIntegrityError):
            return stored
        try:
            return self.checked(stored)
        except StoreIntegrityError as error:
            return error

    def checked(self, stored: Stored[R]) -> R:
        """The record, which is authentic. Raises :class:`StoreIntegrityError`."""
        return self.record_macs.check(self.kind, stored)

    def sealed(self, record: R) -> bytes:
        """The MAC to be stored beside a record."""
        return self.record_macs.seal(self.kind, record)

    # Writing ------------------------------------------------------------------------------

    def insert(self, make: Callable[[str], R], event: str, also: Also | None = None) -> R:
        """Store the new record that ``make`` gives for the store's present master key.

        It is called again where the store has moved to another one meanwhile. Raises
        :class:`KeyExistsError` where the id is taken. ``event`` is what the audit log calls it,
        ``also`` what else is done with it or not at all.
        """
        for _ in attempts():
            record = make(self._present_master_id())
            mac, name = self.sealed(record), self.kind.id_of(record)
            try:
                with self.journal.recorded(event, mac, b"", **self._named(event, None, record)):
                    self.table.insert(record, mac, also)
            except ConflictError:
                if self.table.has(name):
                    raise KeyExistsError(self.kind.taken.format(name)) from None
                continue
            return record
        raise ConflictError("the store is being changed by many at once; try again")

    def update(
        self,
        record_id: str,
        change: Callable[[R], R],
        event: str | None = None,
        *,
        reason: str | None = None,
        memory: dict[Any, Any] | None = None,
        also: Also | None = None,
    ) -> R:
        """Swap a record for what ``change`` makes of it, and try again where it lost a race.

        Whatever is written is under the store's present master key. ``event`` is what the audit
        log calls it, ``reason`` an operator's word for it; without an event a record is written
        that only had to come under that key; ``memory`` may hold what that takes. ``also`` is
        done with it, or not at all.
        Raises :class:`KeyNotFoundError`.
        """
        memory = {} if memory is None else memory
        for _ in attempts():
            stored = self.table.load(record_id)
            old = self.checked(stored)
            master_id = self._present_master_id()
            present = old if old.master_id == master_id else self._under(old, master_id, memory)
            new = change(present)
            if new is old or (new is present and event is not None):
                return old  # and no record says that something was done
            new = replace(cast("Any", new), revision=old.revision + 1)
            mac, named = self.sealed(new), self._named(event, old, new)
            try:
                with self.journal.recorded(event, mac, stored.mac, reason=reason, **named):
                    self.table.replace(old, new, mac, also)
            except ConflictError:
                continue
            return new
        raise ConflictError(
            f"{self.kind.name} {record_id!r} is being changed by many at once; try again"
        )

    def move_from(self, former: list[str], progress: Callable[[int], None] | None = None) -> None:
        """Bring the records that are under ``former`` master keys under the present one."""
        while names := self.table.under(former, limit=100):
            memories = self._memories(names)
            for name in names:
                with suppress(KeyNotFoundError):  # of what ends, as an import does
                    self.update(name, lambda record: record, memory=memories.get(name))
                if progress is not None:
                    progress(1)

    def _memories(self, names: list[str]) -> dict[str, dict[Any, Any]]:  # noqa: ARG002
        """What it takes to bring these records under the present master key, had at once."""
        return {}

    def _under(self, record: R, master_id: str, memory: dict[Any, Any]) -> R:  # noqa: ARG002
        """The record under another master key. ``memory`` is kept from attempt to attempt."""
        moved: R = replace(cast("Any", record), master_id=master_id)
        return moved

    def _named(self, event: str | None, old: R | None, new: R) -> dict[str, str]:  # noqa: ARG002
        """What the audit log calls the record."""
        return {"subject": self.kind.id_of(new)}

    def _present_master_id(self) -> str:
        return self.record_macs.store.require_status().master_id


def attempts() -> Iterator[None]:
    """The attempts of a writer that may lose races: the first at once, others after a pause.

    The pauses are random, so that those who met do not meet again.
    """
    end, longest = monotonic() + PATIENCE_SECONDS, _LONGEST_PAUSE / 16
    yield
    while (left := end - monotonic()) > 0:
        time.sleep(min(left, random.uniform(0, longest)))  # noqa: S311 - it hides nothing
        longest = min(2 * longest, _LONGEST_PAUSE)
        yield
