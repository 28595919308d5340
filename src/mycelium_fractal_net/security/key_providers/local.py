"""The master key in a file of this machine, in the clear or under a passphrase.

What it needs: a folder of mode 0700 and, in it, ``master.key`` of mode 0600, a JSON document:

    {"format": "mfn-master-key/1",
     "store_id": hex of 16 bytes,
     "keys": {"local:1f2e3d4c": {"protection": "file", "key": base64 of 32 bytes},
              "local:5a6b7c8d": {"protection": "passphrase", "kdf": "PBKDF2-SHA256",
                                 "iterations": 600000, "salt": base64, "sealed": base64}}}

There is one key, or two while a store moves from the first to the last. A sealed key is
Cobblestone-256 under the key that PBKDF2 derives from the passphrase, bound to the store id
and the key's own id. Nothing leaves the machine. Whoever reads the file (or knows the
passphrase too, where there is one) and the store has every key: back both up apart.

Errors: :class:`MasterKeyError` where the file is absent, damaged or the passphrase wrong,
:class:`StorePermissionsError` where others may read it.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import (
    DecryptionError,
    MasterKeyError,
    StoreIntegrityError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_providers.base import Binding, Custodian
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider
from mycelium_fractal_net.security.key_store.authority import STORE_ID_BYTES
from mycelium_fractal_net.security.key_store.sqlite import check_private

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.sealing import Sealer

__all__ = ["LocalCustodian", "LocalKeyProvider", "PassphraseKdf"]

_FORMAT: Final = "mfn-master-key/1"
_SEAL_LABEL: Final = b"mycelium-fractal-net/master/v1"
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 32
_KDF: Final = "PBKDF2-SHA256"
_MAX_FILE_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class PassphraseKdf:
    """A passphrase and what turns it into a key. ``repr`` shows no passphrase."""

    passphrase: bytes = field(repr=False)
    iterations: int = 600_000


class LocalKeyProvider(StoredKeyProvider):
    """The plan's local key provider: a key store whose master key is a file."""


class LocalCustodian(Custodian):
    """Master keys from a key file.

    ``passphrase`` is needed where the file's keys are under one. The file is read again when
    the store names a master key that was made since.
    """

    def __init__(self, path: Path, policy: Policy, passphrase: PassphraseKdf | None = None) -> None:
        self._path = path
        self._policy = policy
        self._passphrase = passphrase
        self._keys: dict[str, bytes] = {}
        self._store_id, self._newest_id, _ = self._read()

    def __repr__(self) -> str:
        return f"LocalCustodian(newest_id={self._newest_id!r})"

    @classmethod
    def create(
        cls, path: Path, policy: Policy, passphrase: PassphraseKdf | None = None
    ) -> LocalCustodian:
        """Write a key file with a fresh store id and master key.

        Raises :class:`MasterKeyError` where there is a file already: it may be all that opens
        somebody's data.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(path.parent)
        document = {
            "format": _FORMAT,
            "store_id": secrets.token_hex(STORE_ID_BYTES),
            "keys": {},
        }
        _add_key(document, policy, passphrase)
        if _write_new(path, document) is None:
            raise MasterKeyError(f"{path} is there already; a master key is never overwritten")
        return cls(path, policy, passphrase)

    @property
    def store_id(self) -> bytes:
        """16 bytes that name the store."""
        return self._store_id

    @property
    def newest_id(self) -> str:
        """The id of the master key that was made last, such as ``local:1f2e3d4c``."""
        return self._newest_id

    @property
    def master_ids(self) -> tuple[str, ...]:
        """The ids of every master key in the file, oldest first: one, or two during a move."""
        _, _, document = self._read()
        return tuple(document["keys"])

    @property
    def protection(self) -> str:
        """``file`` or ``passphrase``: what guards the newest master key."""
        _, newest, document = self._read()
        return str(document["keys"][newest]["protection"])

    @property
    def iterations(self) -> int | None:
        """The PBKDF2 iterations of the newest master key, None without a passphrase."""
        _, newest, document = self._read()
        found = document["keys"][newest].get("iterations")
        return None if found is None else int(found)

    def wrap(self, master_id: str, material: bytes, binding: Binding) -> bytes:
        """Cobblestone-256 under the master key, with the binding as context."""
        sealer = self._policy.bare_sealer(self._master_key(master_id), binding.encode())
        return sealer.seal(material)

    def unwrap(self, master_id: str, wrapped: bytes, binding: Binding) -> bytes:
        """What :meth:`wrap` was given, see :class:`Custodian`."""
        sealer = self._policy.bare_sealer(self._master_key(master_id), binding.encode())
        try:
            return sealer.open(wrapped)
        except DecryptionError:
            named = f"version {binding.version} of key {binding.key_id!r}"
            raise StoreIntegrityError(
                f"{named if binding.key_id else 'the authority key'} does not unwrap: its row was"
                " changed, or comes from another store or master key"
            ) from None

    def add_master_key(self) -> str:
        """A further master key, under the same protection, written before this returns."""
        with self._locked():
            _, _, document = self._read()
            added = _add_key(document, self._policy, self._passphrase)
            self._replace_file(document)
        self._store_id, self._newest_id, _ = self._read()
        return added

    def forget_master_keys(self, keep: str) -> None:
        """Write the file without every other master key."""
        with self._locked():
            _, _, document = self._read()
            if keep not in document["keys"]:
                raise MasterKeyError("the key file has no such master key; nothing was changed")
            document["keys"] = {keep: document["keys"][keep]}
            self._replace_file(document)
        self._keys = {master_id: key for master_id, key in self._keys.items() if master_id == keep}
        self._store_id, self._newest_id, _ = self._read()

    def change_passphrase(self, passphrase: PassphraseKdf | None) -> None:
        """Put the same master keys under another passphrase, or with None under none."""
        with self._locked():
            _, _, document = self._read()
            for master_id in list(document["keys"]):
                key = self._master_key(master_id)
                document["keys"][master_id] = _entry(
                    self._policy, self._store_id, master_id, key, passphrase
                )
            self._replace_file(document)
        self._passphrase = passphrase

    # Beneath ------------------------------------------------------------------------------

    def _master_key(self, master_id: str) -> bytes:
        found = self._keys.get(master_id)
        if found is None:
            self._store_id, self._newest_id, document = self._read()
            entry = document["keys"].get(master_id)
            if entry is None:
                raise MasterKeyError(
                    f"the key file {self._path} does not hold the store's master key {master_id};"
                    " name the right file: MFN_MASTER_KEY_FILE"
                )
            found = self._open_entry(master_id, entry)
            self._keys[master_id] = found
        return found

    def _open_entry(self, master_id: str, entry: dict[str, Any]) -> bytes:
        if entry["protection"] == "file":
            return _decoded(entry["key"], _KEY_BYTES)
        if self._passphrase is None:
            raise MasterKeyError(
                "the master key is under a passphrase: set MFN_MASTER_PASSPHRASE_FILE,"
                " or run on a terminal"
            )
        sealer = _passphrase_sealer(
            self._policy,
            self._store_id,
            master_id,
            PassphraseKdf(self._passphrase.passphrase, int(entry["iterations"])),
            _decoded(entry["salt"], _SALT_BYTES),
        )
        try:
            return sealer.open(_decoded(entry["sealed"]))
        except DecryptionError:
            raise MasterKeyError("the passphrase does not open the master key") from None

    def _read(self) -> tuple[bytes, str, dict[str, Any]]:
        """The store id, the newest key's id and the document, checked in shape."""
        try:
            check_private(self._path.absolute().parent)
            check_private(self._path)
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                document = json.loads(file.read(_MAX_FILE_BYTES))
        except (StoreUnavailableError, OSError):
            raise MasterKeyError(
                f"the master key file {self._path} cannot be read; create one: mfn init"
            ) from None
        except (ValueError, RecursionError):
            raise MasterKeyError(f"the master key file {self._path} is damaged") from None
        try:
            store_id = bytes.fromhex(document["store_id"])
            newest = list(document["keys"])[-1]
            shaped = (
                document["format"] == _FORMAT
                and len(store_id) == STORE_ID_BYTES
                and all(map(_is_entry, document["keys"].values()))
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            shaped = False
        if not shaped:
            raise MasterKeyError(f"the master key file {self._path} is damaged")
        return store_id, newest, document

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _replace_file(self, document: dict[str, Any]) -> None:
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            _write_new(temporary, document)
            temporary.replace(self._path)
            _sync_folder(self._path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise MasterKeyError(
                f"the master key file {self._path} cannot be written: {error.strerror}"
            ) from None


def _is_entry(entry: dict[str, Any]) -> bool:
    protection = entry["protection"]
    if protection == "file":
        return set(entry) == {"protection", "key"} and isinstance(entry["key"], str)
    return (
        protection == "passphrase"
        and set(entry) == {"protection", "kdf", "iterations", "salt", "sealed"}
        and entry["kdf"] == _KDF
        and type(entry["iterations"]) is int
        and isinstance(entry["salt"], str)
        and isinstance(entry["sealed"], str)
    )


def _add_key(document: dict[str, Any], policy: Policy, passphrase: PassphraseKdf | None) -> str:
    master_id = f"local:{secrets.token_hex(4)}"
    key = secrets.token_bytes(_KEY_BYTES)
    store_id = bytes.fromhex(document["store_id"])
    document["keys"][master_id] = _entry(policy, store_id, master_id, key, passphrase)
    return master_id


def _entry(
    policy: Policy,
    store_id: bytes,
    master_id: str,
    key: bytes,
    passphrase: PassphraseKdf | None,
) -> dict[str, Any]:
    if passphrase is None:
        return {"protection": "file", "key": base64.b64encode(key).decode()}
    salt = secrets.token_bytes(_SALT_BYTES)
    sealed = _passphrase_sealer(policy, store_id, master_id, passphrase, salt).seal(key)
    return {
        "protection": "passphrase",
        "kdf": _KDF,
        "iterations": passphrase.iterations,
        "salt": base64.b64encode(salt).decode(),
        "sealed": base64.b64encode(sealed).decode(),
    }


def _passphrase_sealer(
    policy: Policy, store_id: bytes, master_id: str, passphrase: PassphraseKdf, salt: bytes
) -> Sealer:
    derived = policy.derive_from_passphrase(
        passphrase.passphrase, salt, iterations=passphrase.iterations
    )
    name = master_id.encode()
    context = _SEAL_LABEL + store_id + len(name).to_bytes(4, "big") + name
    return policy.bare_sealer(derived, context)


def _decoded(text: str, size: int | None = None) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if not value or (size is not None and len(value) != size):
        raise MasterKeyError("the master key file is damaged")
    return value


def _write_new(path: Path, document: dict[str, Any]) -> Path | None:
    """Write a file of mode 0600 that was not there, whole and durably; None where it was."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(
        temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(document, indent=1).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # unlike a rename, never over a file that is there
    except FileExistsError:
        return None
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path)
    return path


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
