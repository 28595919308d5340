"""The store's id of a backup, where a restore finds none: it stands in the backup's first bytes."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from mycelium_fractal_net.bootstrap.custodians import scheme_of
from mycelium_fractal_net.bootstrap.custodians.remote import (
    RemoteScheme,
    keep_store_id,
    store_id_file,
)
from mycelium_fractal_net.bootstrap.custody import named_store_id, with_store_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader


def settings_for_backup(settings: Settings, reader: BinaryReader) -> tuple[Settings, BinaryReader]:
    """The settings with the id of the backup's store, and what reads the whole backup.

    Where an id is known here it stays; the backup of another store is refused when it is opened.
    Raises :class:`MasterKeyError` where the master key is a file, and is not here.
    """
    chosen = with_store_id(settings)
    scheme = scheme_of(chosen)
    if not scheme.is_there(chosen):
        if not isinstance(scheme, RemoteScheme):
            raise scheme.missing(chosen, of_backup=True)
        from mycelium_fractal_net.security.backup.layout import read_start

        header, start = read_start(reader)
        return named_store_id(chosen, header.store_id), _Again(start, reader)
    return chosen, reader


@contextlib.contextmanager
def store_id_kept(settings: Settings, store_id: bytes) -> Iterator[None]:
    """Keep the id for the store that the block restores, where none is here; not if it fails.

    It is written first: whoever is killed can restore the same backup again, and a store that was
    restored is never without its id.
    """
    scheme = scheme_of(settings)
    kept = isinstance(scheme, RemoteScheme) and not scheme.is_there(with_store_id(settings))
    kept = kept and keep_store_id(settings, store_id.hex())
    try:
        yield
    except BaseException:
        if kept:
            store_id_file(settings).unlink(missing_ok=True)
        raise


class _Again:
    """A reader whose first bytes were read already."""

    def __init__(self, start: bytes, rest: BinaryReader) -> None:
        self._start = io.BytesIO(start)
        self._rest = rest

    def read(self, size: int, /) -> bytes | None:
        return self._start.read(size) or self._rest.read(size)
