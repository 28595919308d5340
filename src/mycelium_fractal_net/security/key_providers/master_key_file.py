"""The file of the local master keys: read in shape, changed whole, never overwritten.

Its format is described in :mod:`.local`; here it is a JSON document that is private, that
several processes may want to change, and that a crash must not cut.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.byte_io.delivered import delivered
from mycelium_fractal_net.security.byte_io.durable import sync_folder
from mycelium_fractal_net.security.byte_io.private import check_private
from mycelium_fractal_net.security.errors import MasterKeyError, StoreUnavailableError
from mycelium_fractal_net.security.key_store.record_mac import STORE_ID_BYTES
from mycelium_fractal_net.security.key_store.sqlite import let_go

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT: Final = "mfn-master-key/1"
KDF: Final = "PBKDF2-SHA256"
_MAX_FILE_BYTES: Final = 65_536


class MasterKeyFile:
    """The document at ``path``, which is private, or delivered by the platform and only read.

    Every error is a :class:`MasterKeyError`, but for modes that are too wide: those are a
    :class:`StorePermissionsError`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, document: dict[str, Any]) -> None:
        """Write a file that was not there; the folder too, with mode 0700."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(self.path.parent)
        try:
            with self.locked(), _written_beside(self.path, document) as temporary:
                os.link(temporary, self.path)  # unlike a rename, never over a file that is there
        except FileExistsError:
            raise MasterKeyError(
                f"{self.path} is there already; a master key is never overwritten"
            ) from None
        sync_folder(self.path.absolute().parent)

    def read(self) -> tuple[bytes, str, dict[str, Any]]:
        """The store id, the newest key's id and the document, checked in shape."""
        try:
            place = delivered(self.path)
            if place is None:
                check_private(self.path.absolute().parent)
                check_private(self.path)
            descriptor = os.open(place or self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                document = json.loads(file.read(_MAX_FILE_BYTES))
        except (StoreUnavailableError, OSError) as error:
            reason = getattr(error, "strerror", None) or "it is not there"
            raise MasterKeyError(
                f"the master key file {self.path} cannot be read: {reason}"
            ) from None
        except (ValueError, RecursionError):
            raise MasterKeyError(f"the master key file {self.path} is damaged") from None
        try:
            store_id = bytes.fromhex(document["store_id"])
            newest = list(document["keys"])[-1]
            shaped = (
                document["format"] == FORMAT
                and len(store_id) == STORE_ID_BYTES
                and all(map(_is_entry, document["keys"].values()))
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            shaped = False
        if not shaped:
            raise MasterKeyError(f"the master key file {self.path} is damaged")
        return store_id, newest, document

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing the file."""
        descriptor = os.open(self.path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            let_go(descriptor)

    def replace(self, document: dict[str, Any]) -> None:
        """Put a new document in the place of the old one, whole and durably; call it locked."""
        try:
            with _written_beside(self.path, document) as temporary:
                temporary.replace(self.path)
            sync_folder(self.path.absolute().parent)
        except OSError as error:
            raise MasterKeyError(
                f"the master key file {self.path} cannot be written: {error.strerror}"
            ) from None


def _is_entry(entry: dict[str, Any]) -> bool:
    protection = entry["protection"]
    if protection == "file":
        return set(entry) == {"protection", "key"} and isinstance(entry["key"], str)
    return (
        protection == "passphrase"
        and set(entry) == {"protection", "kdf", "iterations", "salt", "sealed"}
        and entry["kdf"] == KDF
        and type(entry["iterations"]) is int
        and isinstance(entry["salt"], str)
        and isinstance(entry["sealed"], str)
    )


@contextmanager
def _written_beside(path: Path, document: dict[str, Any]) -> Iterator[Path]:
    """A temporary file of mode 0600 that holds all of ``document``, durably; gone at the end.

    The caller holds the lock: whoever was killed with such a file in hand has left it here, with
    master keys that are to be forgotten, so it goes first.
    """
    _remove_leftovers(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(
        temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(document, indent=1).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    leftover = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}")
    for each in path.absolute().parent.iterdir():
        if leftover.fullmatch(each.name):
            each.unlink(missing_ok=True)
