"""Making a backup: one state of the store, sealed as it is read; and what it then holds."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.audit.events import BEGUN, OK
from mycelium_fractal_net.security.backup.format import (
    BLOCK_BYTES,
    DATA_KEY_ALGORITHM,
    Backup,
    BackupHeader,
    binding_of,
    context_of,
    encode_frames,
    encode_start,
)
from mycelium_fractal_net.security.byte_io.binary_io import write_fully
from mycelium_fractal_net.security.errors import ConflictError, StoreIntegrityError
from mycelium_fractal_net.security.key_store.backup_table import MadeBackup
from mycelium_fractal_net.security.key_store.rows import from_micros, micros
from mycelium_fractal_net.security.key_store.schema import HEAD
from mycelium_fractal_net.security.key_store.snapshot import BACKED_UP, snapshot
from mycelium_fractal_net.security.records.keys import HANDLE_BYTES, KeyState, version_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.security.byte_io.binary_io import BinaryWriter
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store.snapshot import Snapshot
    from mycelium_fractal_net.security.sealed.push import Encryptor

    Progress = Callable[[int], None]


def write_backup(
    provider: StoredKeyProvider, writer: BinaryWriter, progress: Progress | None = None
) -> Backup:
    """Write a backup of the store as it is now, while others go on writing the store.

    Memory is constant but for 8 bytes a version. ``progress`` gets the number of rows just
    written. When the file is durable, say so with :func:`record_backup`. What ``writer`` raises
    passes through, :class:`ConflictError` says that the store is between two master keys.
    """
    backup_id = secrets.token_hex(16)
    if provider.audit is not None:
        provider.audit.now("store.backup", BEGUN, subject=backup_id)
    now = provider.store.database.now()
    with snapshot(provider.store.database) as state:
        # Of a row that names a master key which nobody has no record is trusted: it is no move.
        needed = {*filter(provider.wrapping.custodian.holds, state.masters), state.status.master_id}
        if needed != {state.status.master_id}:
            raise ConflictError(
                "the store is between two master keys, of which one will be forgotten;"
                " finish the move first: mfn master rotate"
            )
        data_key = provider.policy.generate_key_material(DATA_KEY_ALGORITHM)
        store_id, master_id = provider.store_id, state.status.master_id
        header = BackupHeader(
            backup_id=backup_id,
            store_id=store_id.hex(),
            made_at=micros(now),
            generation=state.status.generation,
            schema=HEAD,
            master_id=master_id,
            wrapped_key=provider.wrapping.wrap(
                master_id, data_key, binding_of(store_id, backup_id)
            ),
        )
        start = encode_start(header)
        write_fully(writer, start)
        sealer = provider.policy.bare_sealer(data_key, context_of(start))
        rows, handles = _write_rows(state, _Sealed(sealer.encryptor(), writer), progress)
    return Backup(
        backup_id, from_micros(header.made_at), header.generation, master_id, rows, handles
    )


class _Sealed:
    """Frames on their way into a file, a block at a time."""

    def __init__(self, encryptor: Encryptor, writer: BinaryWriter) -> None:
        self._encryptor = encryptor
        self._writer = writer
        self._waiting = bytearray()

    def put(self, frames: bytes) -> None:
        """Take the next frames."""
        self._waiting += frames
        if len(self._waiting) >= BLOCK_BYTES:
            self._flush()

    def _flush(self) -> None:
        write_fully(self._writer, self._encryptor.update(bytes(self._waiting)))
        self._waiting.clear()

    def end(self) -> None:
        """Write what waits, and the end that nothing may follow."""
        self._flush()
        write_fully(self._writer, self._encryptor.finalize())


def _write_rows(
    state: Snapshot, sealed: _Sealed, progress: Progress | None
) -> tuple[dict[str, int], bytes]:
    """All rows, and how many there are of each table: in the file, and returned."""
    counts: dict[str, int] = {}
    handles = bytearray()
    for name, table in BACKED_UP.items():
        columns = [str(column.name) for column in table.c]
        sealed.put(encode_frames([{"table": name, "columns": columns}]))
        counts[name] = 0
        for rows in state.rows(name):
            sealed.put(encode_frames(rows))
            counts[name] += len(rows)
            if name == "key_versions":
                handles += handles_in(columns, rows)
            if progress is not None:
                progress(len(rows))
    sealed.put(encode_frames([{"end": counts}]))
    sealed.end()
    return counts, bytes(handles)


def handles_in(columns: list[str], rows: list[list[object]]) -> bytes:
    """The handles of the versions among these rows of ``key_versions`` that have their material.

    Raises :class:`ValueError` and :class:`TypeError` for rows that no release wrote.
    """
    handle, wrapped = columns.index("handle"), columns.index("wrapped")
    return b"".join(row[handle] for row in rows if row[wrapped])  # type: ignore[misc]


# What the store knows of its backups --------------------------------------------------------


def record_backup(provider: StoredKeyProvider, backup: Backup) -> list[str]:
    """Record that a backup is durable, and activate the versions that waited for it.

    Returns the ids of those. Raises :class:`ConflictError` where the store has moved to another
    master key since.
    """
    made = MadeBackup(backup.backup_id, micros(backup.made_at), backup.generation, backup.master_id)
    provider.store.record_backup(made, each_handle(backup.handles))
    if provider.audit is not None:
        count = sum(backup.rows.values())
        provider.audit.now("store.backup", OK, subject=backup.backup_id, count=count)
    return activate_held(provider)


def each_handle(handles: bytes) -> Iterator[bytes]:
    """The handles that stand one behind the other."""
    for start in range(0, len(handles), HANDLE_BYTES):
        yield handles[start : start + HANDLE_BYTES]


def activate_held(provider: StoredKeyProvider) -> list[str]:
    """Activate the versions of all keys that may be by now; the ids of those.

    A key whose record is not authentic, or that others change, does not stop the rest: it waits
    for a scheduler, and ``mfn doctor`` names it.
    """
    activated: list[str] = []
    for name in provider.store.keys_that_wait():
        try:
            before = provider.keys.get(name)
            after = provider.states.activate_due(name)
        except (StoreIntegrityError, ConflictError):
            continue
        waited = {each.handle for each in before.versions if each.state is KeyState.PRE_ACTIVATION}
        activated.extend(
            version_id(name, each.version)
            for each in after.versions
            if each.handle in waited and each.state is KeyState.ACTIVE
        )
    return activated
