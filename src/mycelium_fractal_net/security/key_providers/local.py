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
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import DecryptionError, MasterKeyError
from mycelium_fractal_net.security.key_providers.custodian import (
    Binding,
    Custodian,
    CustodianStatus,
)
from mycelium_fractal_net.security.key_providers.master_key_file import FORMAT, KDF, MasterKeyFile
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider, utc_now
from mycelium_fractal_net.security.key_store.record_mac import STORE_ID_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.sealed.sealer import Sealer

_SEAL_LABEL: Final = b"mycelium-fractal-net/master/v1"
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class PassphraseKdf:
    """A passphrase and what turns it into a key. ``repr`` shows no passphrase."""

    passphrase: bytes = field(repr=False)
    iterations: int


class LocalKeyProvider(StoredKeyProvider):
    """The plan's local key provider: the master key is a file, and the store's id with it."""

    custodian: LocalCustodian

    def __init__(
        self,
        store: KeyStore,
        custodian: LocalCustodian,
        policy: Policy,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(store, custodian, policy, store_id=custodian.store_id, clock=clock)


class LocalCustodian(Custodian):
    """Master keys from a key file.

    ``passphrase`` is needed where the file's keys are under one. The file is read again when
    the store names a master key that was made since.
    """

    scheme: ClassVar[str] = "local"

    def __init__(self, path: Path, policy: Policy, passphrase: PassphraseKdf | None = None) -> None:
        self._file = MasterKeyFile(path)
        self._policy = policy
        self._passphrase = passphrase
        self._keys: dict[str, SecretBytes] = {}
        self._read()

    def _read(self) -> dict[str, Any]:
        self._store_id, self._newest_id, document = self._file.read()
        return document

    def __repr__(self) -> str:
        return f"LocalCustodian(newest_id={self._newest_id!r})"

    @classmethod
    def create(
        cls,
        path: Path,
        policy: Policy,
        passphrase: PassphraseKdf | None = None,
        *,
        store_id: bytes | None = None,
    ) -> LocalCustodian:
        """Write a key file with a fresh master key, and a fresh store id or the one that is given.

        Raises :class:`MasterKeyError` where there is a file already: it may be all that opens
        somebody's data.
        """
        document = {
            "format": FORMAT,
            "store_id": (store_id or secrets.token_bytes(STORE_ID_BYTES)).hex(),
            "keys": {},
        }
        _add_key(document, policy, passphrase)
        MasterKeyFile(path).create(document)
        return cls(path, policy, passphrase)

    @property
    def store_id(self) -> bytes:
        """16 bytes that name the store."""
        return self._store_id

    def newest_id(self) -> str:
        """The id of the master key that was made last, such as ``local:1f2e3d4c``."""
        return self._newest_id

    def holds(self, kek_id: str) -> bool:
        """Whether the file has that master key; it is read again where it is not known."""
        return kek_id in self._keys or kek_id in self._file.read()[2]["keys"]

    def check(self, kek_id: str) -> None:
        """Raise :class:`MasterKeyError`, naming the file, unless it has that master key."""
        if not kek_id.startswith(f"{self.scheme}:"):
            super().check(kek_id)
        if not self.holds(kek_id):
            raise MasterKeyError(
                f"the key file {self._file.path} does not hold the store's master key"
                f" {kek_id}; name the right file: MFN_MASTER_KEY_FILE"
            )

    def wrap_many(self, kek_id: str, items: Sequence[tuple[Octets, Binding]]) -> list[bytes]:
        """Cobblestone-256 under the master key, with the binding as context."""
        key = self._master_key(kek_id)
        return [
            self._policy.bare_sealer(key, binding.encode()).seal(material)
            for material, binding in items
        ]

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[SecretBytes]:
        """What :meth:`wrap_many` was given, see :class:`Custodian`."""
        key = self._master_key(kek_id)
        materials: list[SecretBytes] = []
        for wrapped, binding in items:
            try:
                sealer = self._policy.bare_sealer(key, binding.encode())
                materials.append(sealer.open_secret(wrapped))
            except DecryptionError:
                raise binding.refusal() from None
        return materials

    def ping(self) -> None:
        """See that the file is there, private and whole."""
        self._file.read()

    def inspect(self) -> CustodianStatus:
        """The master keys in the file, and what guards the newest one."""
        document = self._read()
        entry = document["keys"][self._newest_id]
        guarded = entry["protection"] == "passphrase"
        return CustodianStatus(
            place=str(self._file.path),
            kek_ids=tuple(document["keys"]),
            guard="passphrase" if guarded else "none",
            iterations=int(entry["iterations"]) if guarded else None,
        )

    def add(self) -> str:
        """A further master key, under the same protection, written before this returns."""
        with self._file.locked():
            document = self._read()
            added = _add_key(document, self._policy, self._passphrase)
            self._file.replace(document)
        self._read()
        return added

    def forget_all_but(self, kek_id: str) -> None:
        """Write the file without every other master key."""
        with self._file.locked():
            document = self._read()
            if kek_id not in document["keys"]:
                raise MasterKeyError("the key file has no such master key; nothing was changed")
            document["keys"] = {kek_id: document["keys"][kek_id]}
            self._file.replace(document)
        self._keys = {known: key for known, key in self._keys.items() if known == kek_id}
        self._read()

    def change_passphrase(self, passphrase: PassphraseKdf | None) -> None:
        """Put the same master keys under another passphrase, or with None under none."""
        with self._file.locked():
            document = self._read()
            for master_id in list(document["keys"]):
                key = self._master_key(master_id)
                document["keys"][master_id] = _entry(
                    self._policy, self._store_id, master_id, key, passphrase
                )
            self._file.replace(document)
        self._passphrase = passphrase

    def close(self) -> None:
        """Forget the master keys; the file is read again where one is needed."""
        self._keys.clear()

    # Beneath ------------------------------------------------------------------------------

    def _master_key(self, master_id: str) -> SecretBytes:
        found = self._keys.get(master_id)
        if found is None:
            self.check(master_id)
            found = self._open_entry(master_id, self._read()["keys"][master_id])
            self._keys[master_id] = found
        return found

    def _open_entry(self, master_id: str, entry: dict[str, Any]) -> SecretBytes:
        if entry["protection"] == "file":
            key: SecretBytes = entry["key"]
            if len(key) != _KEY_BYTES:
                raise _damaged()
            return key
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
            return sealer.open_secret(_decoded(entry["sealed"]))
        except DecryptionError:
            raise MasterKeyError("the passphrase does not open the master key") from None


def _add_key(document: dict[str, Any], policy: Policy, passphrase: PassphraseKdf | None) -> str:
    master_id = f"local:{secrets.token_hex(4)}"
    key = policy.random_key()
    store_id = bytes.fromhex(document["store_id"])
    document["keys"][master_id] = _entry(policy, store_id, master_id, key, passphrase)
    return master_id


def _entry(
    policy: Policy,
    store_id: bytes,
    master_id: str,
    key: Octets,
    passphrase: PassphraseKdf | None,
) -> dict[str, Any]:
    if passphrase is None:
        return {"protection": "file", "key": SecretBytes(key)}
    salt = bytes(policy.random_key())  # by an approved generator: SP 800-132 section 5.1
    sealed = _passphrase_sealer(policy, store_id, master_id, passphrase, salt).seal(key)
    return {
        "protection": "passphrase",
        "kdf": KDF,
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
        raise _damaged()
    return value


def _damaged() -> MasterKeyError:
    return MasterKeyError("the master key file is damaged")
