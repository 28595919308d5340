"""The record of a signer: a registered public key that may sign requests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.byte_io.pem import PUBLIC_KEY, pem_encode
from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.records.api_keys import CREDENTIAL_ID
from mycelium_fractal_net.security.records.keys import KEY_NAME

if TYPE_CHECKING:
    from datetime import datetime


SIGNER_ALGORITHMS: Final = ("Ed25519", "ECDSA-P256", "ECDSA-P384")
"""What may sign requests: those that RFC 9421 section 3.3 names."""

_MOST_CREDENTIALS: Final = 100


class SignerState(StrEnum):
    """Whether a signer's signatures count."""

    ACTIVE = "active"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Signer:
    """One public key, DER SubjectPublicKeyInfo, under a name, which is its ``keyid``.

    It signs for the ``credentials`` named, by their ids, or for any where ``any_credential``.
    A credential that a signer names, of whatever state, works only with a signature. Times are
    UTC.
    """

    name: str
    public_key: bytes
    algorithm: str
    credentials: tuple[str, ...]
    any_credential: bool
    state: SignerState
    created_at: datetime
    revision: int = 0
    master_id: str = ""

    def signs_for(self, credential_id: str) -> bool:
        """Whether its signature on a request of that credential counts."""
        return self.any_credential or credential_id in self.credentials

    def pem(self) -> str:
        """The public key as a PEM block ``PUBLIC KEY``, LF line ends."""
        return pem_encode(PUBLIC_KEY, self.public_key).decode("ascii")

    def thumbprint(self) -> bytes:
        """The SHA-256 of the DER public key, 32 bytes: it has one DER encoding."""
        return sha256(self.public_key)


def check_signer(name: str, credentials: tuple[str, ...], any_credential: bool) -> None:
    """Raise :class:`InvalidInputError` for a name or credentials that cannot be."""
    if KEY_NAME.fullmatch(name) is None:
        raise InvalidInputError(
            "the name of a signer is 1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit"
        )
    if any_credential == bool(credentials):
        raise InvalidInputError("a signer names credentials, or says that it signs for any")
    if len(credentials) > _MOST_CREDENTIALS:
        raise InvalidInputError(f"a signer names at most {_MOST_CREDENTIALS} credentials")
    if not all(CREDENTIAL_ID.fullmatch(each) for each in credentials):
        raise InvalidInputError("a credential is named by the 16 characters of its id")
