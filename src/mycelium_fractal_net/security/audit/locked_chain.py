"""A chain that this process writes: found free and taken over, or begun.

A chain is a folder. The process that writes it holds the lock of a file in it; the next one goes
on where it stopped, so that ten thousand runs of a command make one chain.
"""

from __future__ import annotations

import logging
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.audit.events import INTENT
from mycelium_fractal_net.security.audit.folders import LOCK, chain_folders, lock_chain, machine_id
from mycelium_fractal_net.security.audit.queue import ChainEnd
from mycelium_fractal_net.security.audit.segments import lines_backwards, segments
from mycelium_fractal_net.security.audit.tail import Tail, tail_of
from mycelium_fractal_net.security.byte_io.durable import still_names, sync_folder
from mycelium_fractal_net.security.byte_io.private import check_private
from mycelium_fractal_net.security.errors import ConflictError
from mycelium_fractal_net.security.key_store.audit_table import Anchor
from mycelium_fractal_net.security.key_store.sqlite import let_go

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from mycelium_fractal_net.security.audit.chain import ChainKey
    from mycelium_fractal_net.security.key_store import KeyStore

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LockedChain:
    """A chain under this process's lock, and where it goes on."""

    folder: Path
    machine: str
    key: ChainKey
    lock: int
    tail: Tail
    open_from: int

    def anchor(self, end: ChainEnd, *, closed: bool) -> Anchor:
        """The row that says how far the chain has come."""
        name, open_from = self.folder.name, end.open_from
        return self.key.authenticated(
            Anchor(name, self.machine, end.sequence, end.mac, closed, open_from)
        )

    def open_intents(self) -> list[dict[str, Any]]:
        """Intents of former processes whose outcome is not there, oldest first."""
        intents: dict[int, dict[str, Any]] = {}
        done: set[int] = set()
        for line in lines_backwards(self.folder):
            if line.sequence < self.open_from:
                break
            if b'"intent"' not in line.signed:
                continue
            record = line.record()
            if record.get("intent") is not None:
                done.add(record["intent"])
            if record["outcome"] == INTENT and line.sequence not in done:
                intents[line.sequence] = record
        return [intents[each] for each in sorted(intents)]

    def is_kept(self, path: Path | None) -> bool:
        """Whether nobody else writes the chain. ``path`` is the segment that was written last.

        Where the lock's file was deleted or replaced it is taken again, if nobody has it and
        nobody wrote meanwhile. Raises :class:`OSError`.
        """
        if still_names(self.folder / LOCK, self.lock):
            return True
        lock = lock_chain(self.folder)
        if lock is None:
            return False
        if any(each.path != path for each in segments(self.folder)[-1:]):
            let_go(lock)
            return False
        os.dup2(lock, self.lock, inheritable=False)
        os.close(lock)
        _LOG.error("the lock of audit chain %s was taken away, and is back", self.folder.name)
        return True

    def release(self) -> None:
        """Let the next process have the chain."""
        let_go(self.lock)

    def leave(self) -> None:
        """In a child process: let go of the parent's lock, which the parent keeps."""
        os.close(self.lock)


def lock_free_chain(folder: Path, store: KeyStore, key: ChainKey) -> LockedChain:
    """A chain of this store that nobody writes, or a new one, which the store then knows.

    Raises :class:`OSError`, :class:`StoreError`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_private(folder)
    machine = machine_id(folder)
    for path in chain_folders(folder):
        chain = _take_over(path, store, key, machine)
        if chain is not None:
            return chain
    return _begin(folder, store, key, machine)


def _take_over(path: Path, store: KeyStore, key: ChainKey, machine: str) -> LockedChain | None:
    lock = lock_chain(path)
    if lock is None:
        return None
    chain = None
    try:
        anchor = store.chain(path.name)
        if anchor is None and not segments(path):  # whoever made the folder came no further
            chain = _registered(path, store, key, machine, lock)
        else:
            chain = _continued(path, anchor, store, key, machine, lock)
    finally:
        if chain is None:
            let_go(lock)
    return chain


def _continued(
    path: Path, anchor: Anchor | None, store: KeyStore, key: ChainKey, machine: str, lock: int
) -> LockedChain | None:
    """The chain where its last process stopped; None where this one must leave it alone."""
    if anchor is not None and anchor.restored_from is not None:
        return None  # of the store before the backup was restored: it has ended
    if anchor is None or not key.is_authentic(anchor):
        _LOG.warning("audit chain %s is not one of this store; it is left alone", path.name)
    elif anchor.machine != machine:
        _LOG.warning("audit chain %s is another machine's; it is left alone", path.name)
    elif tail := tail_of(path, anchor, key.mac):
        open_from = anchor.open_from or anchor.sequence + 1
        chain = LockedChain(path, machine, key, lock, tail, open_from)
        if tail.sequence > anchor.sequence:  # else they would be more with each process that dies
            end = ChainEnd(tail.sequence, tail.mac, False, open_from)
            store.anchor_chain(chain.anchor(end, closed=False))
        return chain
    else:
        _LOG.error("audit chain %s was tampered with: mfn audit verify", path.name)
    return None


def _begin(folder: Path, store: KeyStore, key: ChainKey, machine: str) -> LockedChain:
    while True:
        path = folder / secrets.token_hex(16)
        path.mkdir(mode=0o700)
        sync_folder(folder)
        lock = lock_chain(path)
        if lock is not None:  # else somebody looked for a chain just now, and has this one
            break
    try:
        return _registered(path, store, key, machine, lock)
    except BaseException:
        (path / LOCK).unlink()
        path.rmdir()
        let_go(lock)
        raise


def _registered(path: Path, store: KeyStore, key: ChainKey, machine: str, lock: int) -> LockedChain:
    """A chain without records, which the store knows from now on."""
    tail = Tail(0, key.beginning(path.name), None)
    chain = LockedChain(path, machine, key, lock, tail, 1)
    begun = chain.anchor(ChainEnd(0, tail.mac, True, None), closed=True)
    store.register_chain(begun, key.one_more)
    return chain


def retire_chain(
    path: Path, known: Anchor | None, key: ChainKey, restored_from: str
) -> Anchor | None:
    """The row of a chain that is in the audit folder when its store is restored, at its end.

    ``known`` is what the backup says of it, None of a chain that was begun after the backup.
    None where it was tampered with, or is no chain of this store. Raises :class:`ConflictError`
    where a process still writes it, and :class:`OSError`.
    """
    if known is None:
        known = Anchor(
            path.name, machine_id(path.parent), 0, key.beginning(path.name), False, open_from=1
        )
    lock = lock_chain(path)
    if lock is None:
        raise ConflictError(
            f"another process still writes audit records in {path}; nothing was restored: end it"
        )
    try:
        tail = tail_of(path, known, key.mac)
    finally:
        let_go(lock)
    if tail is None or not tail.sequence:
        return None
    return key.authenticated(
        known._replace(
            sequence=tail.sequence, mac=tail.mac, closed=False, restored_from=restored_from
        )
    )
