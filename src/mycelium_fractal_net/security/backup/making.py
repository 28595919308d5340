"""Making a backup: one state of the store, sealed as it is read; and what it then holds."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.audit.events import BEGUN, OK
from mycelium_fractal_net.security.backup.layout import (
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
from mycelium_fractal_net.security.key_store.rows import micros
from mycelium_fractal_net.security.key_store.schema import HEAD
from mycelium_fractal_net.security.key_store.snapshot import BACKED_UP, snapshot
from mycelium_fractal_net.security.records.keys import KeyState, version_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.security.byte_io.binary_io import BinaryWriter
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store.snapshot import Snapshot
    from mycelium_fractal_net.security.sealed.push import Encryptor


def write_backup(provider: StoredKeyProvider, writer: BinaryWriter) -> Backup:
    """Write a backup of the store as it is now, while others go on writing the store.

    Memory is constant but for 8 bytes a version. When the file is durable, say so with
    :func:`record_backup`. What ``writer`` raises passes through, :class:`ConflictError` says that
    the store is between two master keys.
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
                f" finish the move first: {provider.master_keys.way_on()}"
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
        rows, handles, external = _write_rows(state, _Frames(sealer.encryptor(), writer))
    return Backup(header.made, rows, handles, external)


class _Frames:
    """Frames on their way into a file, a block at a time."""

    def __init__(self, encryptor: Encryptor, writer: BinaryWriter) -> None:
        self._encryptor = encryptor
        self._writer = writer
        self._waiting = bytearray()

    def put(self, values: Iterable[Any], *, last: bool = False) -> None:
        """Take the next values, or the last ones, which nothing may follow."""
        self._waiting += encode_frames(values)
        if last or len(self._waiting) >= BLOCK_BYTES:
            write_fully(self._writer, self._encryptor.update(bytes(self._waiting)))
            self._waiting.clear()
        if last:
            write_fully(self._writer, self._encryptor.finalize())


def _write_rows(state: Snapshot, frames: _Frames) -> tuple[dict[str, int], bytes, int]:
    """All rows, and how many there are of each table: in the file, and returned.

    With the handles of versions that have their key, and how many of those are external.
    """
    counts: dict[str, int] = {}
    handles = bytearray()
    external = 0
    for name, table in BACKED_UP.items():
        columns = [str(column.name) for column in table.c]
        frames.put([{"table": name, "columns": columns}])
        counts[name] = 0
        for rows in state.rows(name):
            frames.put(rows)
            counts[name] += len(rows)
            if name == "key_versions":
                handles += handles_in(columns, rows)
                external += len(external_in(columns, rows))
    frames.put([{"end": counts}], last=True)
    return counts, bytes(handles), external


def handles_in(columns: list[str], rows: list[list[object]]) -> bytes:
    """The handles of the versions among these rows of ``key_versions`` that have their key.

    Raises :class:`ValueError` and :class:`TypeError` for rows that no release wrote.
    """
    handle, wrapped = columns.index("handle"), columns.index("wrapped")
    held = (row for row in rows if row[wrapped])
    elsewhere = external_in(columns, rows)
    return b"".join(row[handle] for row in (*held, *elsewhere))  # type: ignore[misc]


def external_in(columns: list[str], rows: list[list[object]]) -> list[list[object]]:
    """Those of these rows of ``key_versions`` whose private key is with the custodian."""
    if "external" not in columns:
        return []  # of a release before there were any
    external, gone_at = columns.index("external"), columns.index("external_gone_at")
    return [row for row in rows if row[external] is not None and row[gone_at] is None]


# What the store knows of its backups --------------------------------------------------------


def record_backup(provider: StoredKeyProvider, backup: Backup) -> list[str]:
    """Record that a backup is durable, and activate the versions that waited for it.

    Returns the ids of those. Raises :class:`ConflictError` where the store has moved to another
    master key since.
    """
    provider.store.record_backup(backup.made, backup.each_handle())
    if provider.audit is not None:
        count = sum(backup.rows.values())
        provider.audit.now("store.backup", OK, subject=backup.made.backup_id, count=count)
    return activate_held(provider)


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
