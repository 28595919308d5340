"""The file of the local master keys: read in shape, changed whole, never overwritten.

Its format is described in :mod:`.local`; here it is a JSON document that is private, that
several processes may want to change, and that a crash must not cut.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct, structs
from msgspec.json import Decoder

from mycelium_fractal_net.security.byte_io.binary_io import read_fully
from mycelium_fractal_net.security.byte_io.buffers import wipe
from mycelium_fractal_net.security.byte_io.delivered import delivered
from mycelium_fractal_net.security.byte_io.durable import sync_folder
from mycelium_fractal_net.security.byte_io.private import check_private
from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
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
        """The store id, the newest key's id and the document, checked in shape.

        In it, and in what is written, a key in the clear is its bytes; in the file it is base64.
        """
        try:
            place = delivered(self.path)
            if place is None:
                check_private(self.path.absolute().parent)
                check_private(self.path)
            descriptor = os.open(place or self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                content = SecretBytes(_MAX_FILE_BYTES)
                used = read_fully(file, memoryview(content))
            found = _from_json(memoryview(content)[:used])
        except (StoreUnavailableError, OSError) as error:
            reason = getattr(error, "strerror", None) or "it is not there"
            raise MasterKeyError(
                f"the master key file {self.path} cannot be read: {reason}"
            ) from None
        except (ValueError, RecursionError):  # of which those of msgspec are
            raise MasterKeyError(f"the master key file {self.path} is damaged") from None
        try:
            store_id = bytes.fromhex(found.store_id)
        except ValueError:
            store_id = b""
        if found.format != FORMAT or len(store_id) != STORE_ID_BYTES or not found.keys:
            raise MasterKeyError(f"the master key file {self.path} is damaged")
        document = {
            "format": FORMAT,
            "store_id": found.store_id,
            "keys": {name: _entry(each) for name, each in found.keys.items()},
        }
        return store_id, list(found.keys)[-1], document

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


class _InTheClear(Struct, tag_field="protection", tag="file", forbid_unknown_fields=True):
    key: bytearray  # which is decoded from base64 into memory that can be wiped


class _UnderPassphrase(
    Struct, tag_field="protection", tag="passphrase", forbid_unknown_fields=True
):
    kdf: Literal["PBKDF2-SHA256"]
    iterations: int
    salt: str
    sealed: str


class _Document(Struct):
    format: str
    store_id: str
    keys: dict[str, _InTheClear | _UnderPassphrase]


_from_json: Final = Decoder(_Document).decode


def _entry(found: _InTheClear | _UnderPassphrase) -> dict[str, Any]:
    if isinstance(found, _UnderPassphrase):
        return {"protection": "passphrase", **structs.asdict(found)}
    key = SecretBytes(found.key)
    wipe(found.key, len(found.key))
    return {"protection": "file", "key": key}


def _base64(secret: SecretBytes) -> str:
    return base64.b64encode(secret).decode()


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
            file.write(json.dumps(document, indent=1, default=_base64).encode() + b"\n")
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
