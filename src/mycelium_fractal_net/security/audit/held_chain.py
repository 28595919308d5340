"""A chain that this process writes: found free and taken over, or begun.

A chain is a folder. Whoever writes it holds the lock of a file in it; when he is gone, the next
process goes on where he stopped, so that ten thousand runs of a command make one chain.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.audit.chain import beginning
from mycelium_fractal_net.security.audit.events import INTENT
from mycelium_fractal_net.security.audit.queue import Standing
from mycelium_fractal_net.security.audit.segments import lines_backwards, segments, sync_folder
from mycelium_fractal_net.security.audit.tail import Tail, tail_of
from mycelium_fractal_net.security.errors import ConflictError, InvalidSignatureError
from mycelium_fractal_net.security.key_store.audit_table import Anchor
from mycelium_fractal_net.security.key_store.authority import encode_fields
from mycelium_fractal_net.security.key_store.sqlite import check_private, let_go

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.key_store.authority import Mac

_LOG: Final = logging.getLogger(__name__)
_CHAIN_ID: Final = re.compile(r"[0-9a-f]{32}")
_ANCHOR_LABEL: Final = b"mycelium-fractal-net/audit/anchor/v1"
OPENED: Final = "audit.opened"  # the first record of each process
RESTORED: Final = "store.restore"  # the first of each chain after the store came from a backup


_Fields = tuple[str, str, int, bytes, bool, int | None]


@dataclass(frozen=True, slots=True)
class HeldChain:
    """A chain under this process's lock, and where it stands."""

    chain_id: str
    folder: Path
    machine: str
    key: Mac
    store_id: bytes
    lock: int
    tail: Tail
    open_from: int

    def anchor(self, standing: Standing, *, closed: bool) -> Anchor:
        """The row that says how far the chain has come."""
        sequence, mac, _, open_from = standing
        fields = (self.chain_id, self.machine, sequence, mac, closed, open_from)
        return Anchor(*fields, self.key.tag(_encode(self.store_id, fields)))

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

    def release(self) -> None:
        """Let the next process have the chain."""
        let_go(self.lock)

    def leave(self) -> None:
        """In a child process: let go of the parent's lock, which the parent keeps."""
        os.close(self.lock)


def _encode(store_id: bytes, fields: _Fields, restored_from: str | None = None) -> bytes:
    later = () if restored_from is None else ("restored_from", restored_from)
    return encode_fields((_ANCHOR_LABEL, store_id, *fields, *later))


def anchor_is_ours(anchor: Anchor, store_id: bytes, key: Mac) -> bool:
    """Whether the row was written by a process that has the store's audit key."""
    try:
        key.verify(_encode(store_id, anchor[:6], anchor.restored_from), anchor.tag)
    except InvalidSignatureError:
        return False
    return True


def left_behind(anchor: Anchor, store_id: bytes, key: Mac, restored_from: str) -> Anchor:
    """The row of a chain that stays with the store before: nobody goes on with it.

    A row that is not authentic stays as it is, so that it is found.
    """
    if not anchor_is_ours(anchor, store_id, key):
        return anchor
    tag = key.tag(_encode(store_id, anchor[:6], restored_from))
    return anchor._replace(restored_from=restored_from, tag=tag)


def found_behind(
    folder: Path, known: Anchor | None, store_id: bytes, key: Mac, restored_from: str
) -> Anchor | None:
    """The row of a chain that is in the audit folder when a store is restored, at its present end.

    ``known`` is what the backup says of it, None of a chain that was begun after the backup.
    None where it was tampered with, or is no chain of this store. Raises :class:`ConflictError`
    where a process still writes it, and :class:`OSError`.
    """
    chain_id = folder.name
    if known is None:
        start = beginning(store_id, chain_id, key)
        known = Anchor(chain_id, machine_id(folder.parent), 0, start, False, 1, b"")
    lock = _locked(folder)
    if lock is None:
        raise ConflictError(
            f"another process still writes audit records in {folder}; nothing was restored: end it"
        )
    try:
        tail = tail_of(folder, known, key)
    finally:
        let_go(lock)
    if tail is None or not tail.sequence:
        return None
    fields = (chain_id, known.machine, tail.sequence, tail.mac, False, known.open_from)
    tag = key.tag(_encode(store_id, fields, restored_from))
    return Anchor(*fields, tag, restored_from)


def chain_folders(folder: Path) -> list[Path]:
    """The chains in an audit folder, in order of their ids."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if _CHAIN_ID.fullmatch(p.name) and p.is_dir())


def machine_id(folder: Path) -> str:
    """The id of an audit folder, made where there is none: 32 hexadecimal digits.

    Raises :class:`OSError`.
    """
    path = folder / "machine"
    if not path.exists():
        with contextlib.suppress(FileExistsError):
            _make_machine_id(folder, path)
    return path.read_text()


def _make_machine_id(folder: Path, path: Path) -> None:
    temporary = folder / f".machine-{secrets.token_hex(8)}"
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        os.write(descriptor, secrets.token_hex(16).encode())
        os.fsync(descriptor)
        os.link(temporary, path)
    finally:
        os.close(descriptor)
        temporary.unlink()
    sync_folder(folder)


def hold_chain(folder: Path, store: KeyStore, key: Mac, store_id: bytes) -> HeldChain:
    """A chain of this store that nobody writes, or a new one, which the store then knows.

    Raises :class:`OSError`, :class:`StoreError`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_private(folder)
    machine = machine_id(folder)
    for path in chain_folders(folder):
        held = _take_over(path, store, key, store_id, machine)
        if held is not None:
            return held
    return _begin(folder, store, key, store_id, machine)


def _take_over(
    path: Path, store: KeyStore, key: Mac, store_id: bytes, machine: str
) -> HeldChain | None:
    lock = _locked(path)
    if lock is None:
        return None
    try:
        anchor = store.chain(path.name)
        if anchor is None and not segments(path):  # whoever made the folder came no further
            return _registered(path, store, key, store_id, machine, lock)
        if anchor is not None and anchor.restored_from is not None:
            pass  # of the store before the backup was restored: it has ended
        elif anchor is None or not anchor_is_ours(anchor, store_id, key):
            _LOG.warning("audit chain %s is not one of this store; it is left alone", path.name)
        elif anchor.machine != machine:
            _LOG.warning("audit chain %s is another machine's; it is left alone", path.name)
        else:
            tail = tail_of(path, anchor, key)
            if tail is not None:
                since = anchor.open_from or anchor.sequence + 1
                return HeldChain(path.name, path, machine, key, store_id, lock, tail, since)
            _LOG.error("audit chain %s was tampered with: mfn audit verify", path.name)
    except BaseException:
        let_go(lock)
        raise
    let_go(lock)
    return None


def _begin(folder: Path, store: KeyStore, key: Mac, store_id: bytes, machine: str) -> HeldChain:
    while True:
        path = folder / secrets.token_hex(16)
        path.mkdir(mode=0o700)
        sync_folder(folder)
        lock = _locked(path)
        if lock is not None:  # else somebody looked for a chain just now, and has this one
            break
    try:
        return _registered(path, store, key, store_id, machine, lock)
    except BaseException:
        (path / "lock").unlink()
        path.rmdir()
        let_go(lock)
        raise


def _registered(
    path: Path, store: KeyStore, key: Mac, store_id: bytes, machine: str, lock: int
) -> HeldChain:
    """A chain without records, which the store knows from now on."""
    tail = Tail(0, beginning(store_id, path.name, key), None)
    held = HeldChain(path.name, path, machine, key, store_id, lock, tail, 1)
    store.register_chain(held.anchor(Standing(0, tail.mac, True, None), closed=True))
    return held


def _locked(path: Path) -> int | None:
    """The lock of a chain, None where somebody else holds it."""
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path / "lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
