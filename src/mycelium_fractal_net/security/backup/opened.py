"""Reading a backup, from its header to its end. Nothing of it is true before its end was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.backup.layout import (
    BLOCK_BYTES,
    FRAME_BYTES,
    LENGTH_BYTES,
    Backup,
    BackupHeader,
    binding_of,
    context_of,
    decode_value,
    read_start,
)
from mycelium_fractal_net.security.backup.making import external_in, handles_in
from mycelium_fractal_net.security.byte_io.binary_io import read_fully
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    MasterKeyError,
    StoreIntegrityError,
    StoreVersionError,
)
from mycelium_fractal_net.security.key_store.schema import HEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader
    from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.sealed.push import Decryptor


@dataclass(frozen=True, slots=True)
class RowsOf:
    """Some rows of a table, in the order of its columns."""

    table: str
    columns: list[str]
    rows: list[list[Any]]


def open_backup(wrapping: Wrapping, policy: Policy, reader: BinaryReader) -> OpenedBackup:
    """Read the header and unwrap the data key.

    Raises :class:`MasterKeyError` where the custodian holds another master key than the backup's,
    :class:`StoreVersionError` where a newer release made it, and :class:`DecryptionError`.
    """
    header, start = read_start(reader)
    if bytes.fromhex(header.store_id) != wrapping.store_id:
        raise MasterKeyError(
            "the backup is of another store than the master key here is for;"
            " put the master key of that store in its place (local: its file master.key)"
        )
    if header.schema > HEAD:
        raise StoreVersionError("the backup was made by a newer release: restore it with that")
    try:
        data_key = wrapping.unwrap(
            header.master_id, header.wrapped_key, binding_of(wrapping.store_id, header.backup_id)
        )
    except StoreIntegrityError:
        raise DecryptionError from None
    decryptor = policy.bare_sealer(data_key, context_of(start)).decryptor()
    return OpenedBackup(header, decryptor, reader)


class OpenedBackup:
    """A backup whose header was read. Its rows are gone through once."""

    def __init__(self, header: BackupHeader, decryptor: Decryptor, reader: BinaryReader) -> None:
        self.header = header
        self._decryptor = decryptor
        self._reader = reader
        self._counts: dict[str, int] = {}
        self._handles = bytearray()
        self._external = 0

    def read(self, take: Callable[[RowsOf], None] = lambda _: None) -> Backup:
        """Go through all rows, each given to ``take``; the backup, once its end was seen.

        Raises what :meth:`rows` does.
        """
        for part in self.rows():
            take(part)
        return Backup(self.header.made, dict(self._counts), bytes(self._handles), self._external)

    def rows(self) -> Iterator[RowsOf]:
        """All rows in order, some at a time, each table at least once.

        Raises :class:`DecryptionError`, at the latest in the place of the end: throw away what it
        gave before.
        """
        found: RowsOf | None = None
        ended = False
        for values in self._values():
            for value in values:
                if ended:
                    raise DecryptionError  # something behind the end
                if isinstance(value, list) and found is not None:
                    found.rows.append(value)
                    continue
                if found is not None:
                    yield self._counted(found)
                found, ended = self._begun(value)
            if found is not None and found.rows:
                yield self._counted(found)
                found = RowsOf(found.table, found.columns, [])
        if not ended:
            raise DecryptionError

    def _begun(self, value: Any) -> tuple[RowsOf | None, bool]:
        """The table that a map begins; or the end, which counts what was there."""
        match value:
            case {"table": str(table), "columns": list(columns)} if table not in self._counts:
                self._counts[table] = 0
                return RowsOf(table, columns, []), False
            case {"end": dict(counts)} if counts == self._counts:
                return None, True
            case _:
                raise DecryptionError

    def _counted(self, found: RowsOf) -> RowsOf:
        if any(len(row) != len(found.columns) for row in found.rows):
            raise DecryptionError
        self._counts[found.table] += len(found.rows)
        if found.table == "key_versions":
            try:
                self._handles += handles_in(found.columns, found.rows)
                self._external += len(external_in(found.columns, found.rows))
            except (ValueError, TypeError):
                raise DecryptionError from None
        return found

    def _values(self) -> Iterator[list[Any]]:
        """The values of the frames that came with each block."""
        waiting = bytearray()
        for part in self._plaintext():
            waiting += part
            values: list[Any] = []
            position = 0
            while (begin := position + LENGTH_BYTES) <= len(waiting):
                size = int.from_bytes(waiting[position:begin], "big")
                if size > FRAME_BYTES:
                    raise DecryptionError
                if begin + size > len(waiting):
                    break
                position = begin + size
                values.append(decode_value(waiting[begin:position]))
            del waiting[:position]
            yield values
        if waiting:
            raise DecryptionError

    def _plaintext(self) -> Iterator[bytes]:
        block = bytearray(BLOCK_BYTES)
        view = memoryview(block)
        while count := read_fully(self._reader, view):
            yield self._decryptor.update(view[:count])
        yield self._decryptor.finalize()


def verify_backup(wrapping: Wrapping, policy: Policy, reader: BinaryReader) -> Backup:
    """Open a backup to its end without restoring it. Raises what :func:`open_backup` does."""
    return open_backup(wrapping, policy, reader).read()
