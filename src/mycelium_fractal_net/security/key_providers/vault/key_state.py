"""What a transit key is, as its server says; it decides what a refusal means.

The words of a server are not read: they differ between products and releases. Where it refuses,
the key is asked for, and what it is and allows says which error it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
)
from mycelium_fractal_net.security.key_providers.vault.transport import unusable

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.vault.session import Session

KEY_TYPE: Final = "aes256-gcm96"
_SERVES: Final = 200
_REFUSED: Final = 403
_ABSENT: Final = 404


@dataclass(frozen=True, slots=True)
class TransitKey:
    """A transit key: what it is, and which of its versions encrypt and decrypt."""

    name: str
    kind: str
    derived: bool
    latest: int
    min_decryption: int
    min_encryption: int
    deleted: bool
    deletion_allowed: bool
    exportable: bool
    versions: dict[int, Any]
    """Of each that decrypts, or signs, what there is to say; of no other."""

    def check_master(self) -> None:
        """Raise :class:`MasterKeyError` unless keys of a store can be wrapped under it."""
        if self.kind != KEY_TYPE or not self.derived:
            raise MasterKeyError(
                f"the transit key {self.name} is not of type {KEY_TYPE} and derived, which cannot"
                " be changed: name another (MFN_VAULT_KEY_NAME)"
            )
        self._check_not_deleted()

    def check_decrypts(self, version: int) -> None:
        """Raise what it means where that version does not decrypt."""
        self.check_master()
        self._check_there(version)
        if version < self.min_decryption:
            raise CustodianDeniedError(
                f"version {version} of the transit key {self.name} is disabled:"
                f" its min_decryption_version is {self.min_decryption}"
            )

    def check_encrypts(self, version: int) -> None:
        """Raise what it means where that version does not encrypt."""
        self.check_decrypts(version)
        if version < self.min_encryption:
            raise CustodianDeniedError(
                f"version {version} of the transit key {self.name} encrypts no more:"
                f" its min_encryption_version is {self.min_encryption}"
            )

    def check_signs(self) -> None:
        """Raise :class:`CustodianDeniedError` where its first version does not sign."""
        self._check_not_deleted()
        if max(self.min_encryption, self.min_decryption) > 1:
            raise CustodianDeniedError(f"version 1 of the transit key {self.name} is disabled")

    def _check_not_deleted(self) -> None:
        if self.deleted:
            raise CustodianDeniedError(f"the transit key {self.name} is deleted, and restorable")

    def _check_there(self, version: int) -> None:
        if version > self.latest:
            raise MasterKeyError(
                f"the transit key {self.name} has no version {version}: it was made anew,"
                " restored from a backup that is older, or is not yet on this node"
            )


def read_key(session: Session, mount: str, name: str) -> TransitKey:
    """The key as it is now.

    Raises :class:`MasterKeyError` where it is not there, :class:`CustodianDeniedError` where it
    may not be read, :class:`CustodianUnavailableError`.
    """
    path = f"{mount}/keys/{name}"
    answer = session.ask("GET", path)
    if answer.status == _REFUSED:
        raise session.denied(path, "read")
    if answer.status == _ABSENT:
        raise absent(mount, name, mounted=answer.document.get("errors") == [])
    if answer.status != _SERVES:
        raise unusable(answer.status)
    return _parsed(name, answer.document.get("data"))


def absent(mount: str, name: str, *, mounted: bool) -> MasterKeyError:
    """The error for a key that is not there: it says how it is made, by hand and by us."""
    enable = "" if mounted else f"bao secrets enable -path={mount} transit, then "
    return MasterKeyError(
        f"Vault has no {f'key {name}' if mounted else 'transit engine'} at {mount}: {enable}"
        f"bao write -f {mount}/keys/{name} type={KEY_TYPE} derived=true,"
        " or with a token that may: mfn init --create-key"
    )


def _parsed(name: str, data: Any) -> TransitKey:
    try:
        return TransitKey(
            name=name,
            kind=str(data["type"]),
            derived=data["derived"] is True,
            latest=int(data["latest_version"]),
            min_decryption=int(data["min_decryption_version"]),
            min_encryption=int(data["min_encryption_version"]),
            deleted=data.get("soft_deleted") is True,  # OpenBao has it, Vault does not
            deletion_allowed=data["deletion_allowed"] is True,
            exportable=data["exportable"] is True or data["allow_plaintext_backup"] is True,
            versions={int(number): said for number, said in data["keys"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise CustodianUnavailableError("Vault describes its key as none is") from None
