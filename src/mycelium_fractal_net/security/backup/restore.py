"""Restoring a backup into an empty store, which starts closed.

What the backup cannot know is what was decided after it. So keys with raw uses are rotated,
pending destruction begins anew, requests that were signed before are refused, and no credential
works before somebody confirms it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from mycelium_fractal_net.security.audit.chain import ChainKey
from mycelium_fractal_net.security.audit.folders import chain_folders
from mycelium_fractal_net.security.audit.locked_chain import retire_chain
from mycelium_fractal_net.security.backup.making import activate_held
from mycelium_fractal_net.security.backup.opened import RowsOf, open_backup
from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    MfnError,
    StoreIntegrityError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store import Stored
from mycelium_fractal_net.security.key_store.audit_table import Anchor, ChainCount, StoredAuditKey
from mycelium_fractal_net.security.key_store.rows import (
    credential_from_row,
    credential_row,
    micros,
)
from mycelium_fractal_net.security.key_store.snapshot import filling
from mycelium_fractal_net.security.records.keys import KeyState, version_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.engine import Row

    from mycelium_fractal_net.security.backup.layout import Backup, BackupHeader
    from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store.snapshot import Filling

    Columns = dict[str, Any]

# A process that was never told of the restore has seen a former generation of the store: all that
# it knows is older than this one, however much was changed since the backup.
_GENERATIONS_LATER: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored. ``rotated`` are the ids of versions that were made for it.

    ``unusable`` are those of external versions that do not sign here, each with what is wrong:
    the backup has no private key of theirs.
    """

    backup: Backup
    restored_at: datetime
    rotated: list[str] = field(default_factory=list)
    unconfirmed: int = 0
    unusable: list[tuple[str, str]] = field(default_factory=list)


def restore_backup(
    provider: StoredKeyProvider,
    reader: BinaryReader,
    *,
    audit_folder: Path | None = None,
    shared_database: bool = False,
) -> Restored:
    """Put a backup into the provider's store, which must be empty; all of it or nothing.

    With ``shared_database`` its database may hold tables of others. The provider's custodian holds
    the master key that the backup is under. Chains of audit records in ``audit_folder`` end where
    they are; new ones begin with a record of the restore.
    Raises :class:`ConflictError` where the store is not empty, or a process still writes in that
    folder, :class:`AuditUnavailableError` where that cannot be read, :class:`DecryptionError` for
    a file that is not what was written, and what :func:`.opened.open_backup` raises. What
    ``reader`` raises passes through.
    """
    reading = _Reading(reader)
    opened = open_backup(provider.wrapping, provider.policy, reading)
    now = max(provider.clock(), provider.store.database.now())
    with reading.errors(), filling(provider.store.database, shared=shared_database) as store:
        rows = _Rows(provider, store, opened.header, now)
        backup = opened.read(rows.put)
        if audit_folder is not None:
            rows.end_chains(audit_folder)
        rows.count_chains()
        rotated = rows.close_keys()
        store.note_backup(backup.made, backup.each_handle())
    if provider.audit is not None:
        provider.audit.open()
    activate_held(provider)
    provider.signers.bind_named()
    return Restored(backup, now, rotated, rows.unconfirmed, _unusable(provider))


def _unusable(provider: StoredKeyProvider) -> list[tuple[str, str]]:
    """The external versions whose private keys are not with the custodian, and why."""
    found = []
    for key in provider.keys.external_keys():
        destroyed = KeyState.DESTROYED
        there = [each for each in key.versions if each.external and each.state is not destroyed]
        for version in there:
            try:
                provider.keys.external.check(key, version)
            except MfnError as error:
                found.append((version_id(key.key_id, version.version), str(error)))
    return found


class _Reading:
    """A reader whose errors are not taken for those of the store that is written meanwhile."""

    def __init__(self, reader: BinaryReader) -> None:
        self._reader = reader
        self._error: OSError | None = None

    def read(self, size: int, /) -> bytes | None:
        try:
            return self._reader.read(size)
        except OSError as error:
            self._error = error
            raise

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Raise again, as it was, what the reader raised within the block."""
        try:
            yield
        except StoreUnavailableError:
            if self._error is not None:
                raise self._error from None
            raise


class _Rows:
    """The rows of a backup on their way into the store, each as it is to be there."""

    def __init__(
        self, provider: StoredKeyProvider, store: Filling, header: BackupHeader, now: datetime
    ) -> None:
        self._provider = provider
        self._store = store
        self._backup_id = header.backup_id
        self._generation = header.generation + _GENERATIONS_LATER
        self._now = now
        self._chain_key: ChainKey | None = None
        self._chains: dict[str, Anchor] = {}
        self._count: ChainCount | None = None
        self._begun_since = 0
        self.unconfirmed = 0

    def put(self, part: RowsOf) -> None:
        """Take some rows of one table."""
        rows = [dict(zip(part.columns, row, strict=True)) for row in part.rows]
        change = {
            "store_meta": self._meta,
            "authority_keys": self._authority,
            "audit_keys": self._key_of_audit,
            "audit_count": self._chain_count,
            "audit_chains": self._chain,
            "credentials": self._credential,
        }.get(part.table)
        if change is not None:
            rows = [change(row) for row in rows]
        if "generation" in part.columns and part.table not in ("store_meta", "backups"):
            rows = [{**row, "generation": self._generation} for row in rows]
        self._store.put(part.table, rows)

    def _meta(self, row: Columns) -> Columns:
        return {
            **row,
            "generation": self._generation,
            "restored_at": micros(self._now),
            "restored_from": self._backup_id,
        }

    def _authority(self, row: Columns) -> Columns:
        self._provider.restoring.adopt_record_mac(row["master_id"], row["wrapped"])
        return row

    def _key_of_audit(self, row: Columns) -> Columns:
        mac = self._provider.audit_keys.of(StoredAuditKey(**row))
        self._chain_key = ChainKey(self._provider.store_id, mac)
        return row

    def _chain_count(self, row: Columns) -> Columns:
        self._count = ChainCount(row["chains"], row["tag"])
        return row

    def _chain(self, row: Columns) -> Columns:
        anchor = Anchor(**row)
        self._chains[anchor.chain_id] = anchor
        if self._chain_key is None or not self._chain_key.is_authentic(anchor):
            return row  # found by whoever verifies
        # It ends with the restore of its store: nobody writes it further.
        retired = anchor._replace(restored_from=self._backup_id)
        return self._chain_key.authenticated(retired)._asdict()

    def _credential(self, row: Columns) -> Columns:
        try:
            # What a backup of an earlier release lacks says nothing there.
            whole = {"rotated_at": None, "bound": False, **row}
            found = credential_from_row(cast("Row[Any]", SimpleNamespace(**whole)))
        except StoreIntegrityError:
            return row  # refused as it is
        closed = self._provider.restoring.closed_credential(Stored(found, row["mac"]))
        if closed is None:
            return row
        self.unconfirmed += 1
        credential, mac = closed
        return {**row, **credential_row(credential), "mac": mac}

    def end_chains(self, folder: Path) -> None:
        """Have the store know the chains that lie in the audit folder, at the end they have."""
        if self._chain_key is None:
            return
        for path in chain_folders(folder):
            known = self._chains.get(path.name)
            try:
                found = retire_chain(path, known, self._chain_key, self._backup_id)
            except OSError as error:
                raise AuditUnavailableError(
                    f"the audit folder {folder} cannot be used: {error.strerror}"
                ) from None
            if found is not None:
                self._store.put_chain(found)
                self._begun_since += known is None

    def count_chains(self) -> None:
        """Count those that the backup did not know; all of them, where none were counted yet."""
        key, count = self._chain_key, self._count or ChainCount(len(self._chains))
        if key is not None and (self._count is None or key.is_authentic(count)):
            count = ChainCount(count.chains + self._begun_since)
            self._store.put_chain_count(key.authenticated(count))

    def close_keys(self) -> list[str]:
        """Close the keys that need it; the ids of the versions that were made."""
        made = []
        for stored, used_raw in self._store.keys_to_close():
            closed = self._provider.restoring.closed_key(stored, used_raw=used_raw, now=self._now)
            if closed is None:
                continue
            self._store.swap(self._generation, *closed)
            if len(closed.new.versions) > len(closed.old.versions):
                made.append(version_id(closed.new.key_id, closed.new.latest.version))
        return made
