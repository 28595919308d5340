"""How a token wraps what a store keeps: by AES-GCM where it has that, else by AES key wrap.

| mechanism                                    | what is stored                                    |
| -------------------------------------------- | ------------------------------------------------- |
| CKM_AES_GCM (SP 800-38D)                     | nonce(12) || ciphertext || tag(16)                |
| CKM_AES_KEY_WRAP_KWP, _PAD, CKM_AES_KEY_WRAP | "MFK" 0x01 || mechanism(4, big-endian) || wrapped |

AES-GCM has the binding as associated data. Key wrap (SP 800-38F) takes none, and every change of
what it wrapped makes all of it another: the SHA-256 of the binding that
:class:`.remote.RemoteCustodian` wraps with each material is what ties it to its row. 0x80 and zeros
fill it up to blocks of 8 bytes here, whatever the mechanism would do: the bare one (RFC 3394) takes
whole blocks alone, and SoftHSM gives back what it padded (RFC 5649) with the padding.

What was wrapped one way opens that way, whatever the token would do today. That the nonce of an
AES-GCM form begins like the other form happens once in 2^62, and is seen when RemoteCustodian
unwraps what was wrapped, before it is kept.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers.pkcs11 import cryptoki
from mycelium_fractal_net.security.key_providers.pkcs11.session import (
    GCM_NONCE_BYTES,
    GCM_TAG_BYTES,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.key_providers.pkcs11.session import Session

_GCM_OVERHEAD: Final = GCM_NONCE_BYTES + GCM_TAG_BYTES
_MAGIC: Final = b"MFK\x01"
_HEADER_BYTES: Final = len(_MAGIC) + 4
_BLOCK: Final = 8  # RFC 3394 section 2

KEY_WRAPS: Final = {
    cryptoki.CKM_AES_KEY_WRAP_KWP: "CKM_AES_KEY_WRAP_KWP",
    cryptoki.CKM_AES_KEY_WRAP_PAD: "CKM_AES_KEY_WRAP_PAD",
    cryptoki.CKM_AES_KEY_WRAP: "CKM_AES_KEY_WRAP",
}
"""The mechanisms of key wrap by their names, the one that is preferred first."""

ALGORITHMS: Final = {
    cryptoki.CKM_AES_GCM: "AES-256-GCM",
    cryptoki.CKM_AES_KEY_WRAP_KWP: "AES-256-KWP",
    cryptoki.CKM_AES_KEY_WRAP_PAD: "AES-256-KW",
    cryptoki.CKM_AES_KEY_WRAP: "AES-256-KW",
}
"""What each does, by the names of algorithms: SP 800-38D, SP 800-38F sections 6.3 and 6.2."""


def mechanism_of(mechanisms: frozenset[int]) -> int:
    """By what a token with these mechanisms wraps. Raises :class:`CustodianDeniedError`."""
    for each in (cryptoki.CKM_AES_GCM, *KEY_WRAPS):
        if each in mechanisms:
            return each
    raise CustodianDeniedError(
        "the token has neither AES-GCM (CKM_AES_GCM) nor AES key wrap (CKM_AES_KEY_WRAP) to wrap"
        " keys with"
    )


def mechanism_for(session: Session, key: int, mechanisms: frozenset[int]) -> int:
    """The same for a key: one that was made to wrap alone does so, also where there is AES-GCM.

    Raises :class:`CustodianDeniedError`.
    """
    if not mechanisms.isdisjoint(KEY_WRAPS) and only_wraps(session, key):
        mechanisms -= {cryptoki.CKM_AES_GCM}
    return mechanism_of(mechanisms)


def only_wraps(session: Session, key: int) -> bool:
    """Whether a key wraps keys, and does not encrypt."""
    asked = (cryptoki.CKA_WRAP, cryptoki.CKA_ENCRYPT)
    return [session.number(key, each) for each in asked] == [1, 0]


def wrapped(session: Session, key: int, mechanism: int, material: Octets, bound: bytes) -> bytes:
    """``material`` wrapped under a key of the token. Raises what the session does."""
    if mechanism == cryptoki.CKM_AES_GCM:
        nonce = secrets.token_bytes(GCM_NONCE_BYTES)
        sealed = session.encrypt(key, nonce, bytes(material), bound)
        if len(sealed) != len(material) + GCM_TAG_BYTES:
            raise CustodianDeniedError("the token does not encrypt with a tag of 16 bytes")
        return nonce + sealed
    found = session.wrap(key, mechanism, _padded(material))
    return _MAGIC + mechanism.to_bytes(4, "big") + found


def unwrapped(
    session: Session, key: int, mechanisms: frozenset[int], form: bytes, bound: bytes
) -> SecretBytes:
    """What :func:`wrapped` was given, by the mechanism that the form names.

    Raises :class:`StoreIntegrityError` for a form that is never made here, and
    :class:`CustodianDeniedError` where the token has not that mechanism.
    """
    mechanism = cryptoki.CKM_AES_GCM
    if form.startswith(_MAGIC):
        mechanism = int.from_bytes(form[len(_MAGIC) : _HEADER_BYTES], "big")
        if mechanism not in KEY_WRAPS or len(form) <= _HEADER_BYTES:
            raise StoreIntegrityError("what the token was to be given is no wrapping")
    if mechanism not in mechanisms:
        name = KEY_WRAPS.get(mechanism, "CKM_AES_GCM")
        raise CustodianDeniedError(f"the token has no {name}, by which this was wrapped")
    if mechanism == cryptoki.CKM_AES_GCM:
        return _by_gcm(session, key, form, bound)
    return _unpadded(session.unwrap(key, mechanism, form[_HEADER_BYTES:]))


def _by_gcm(session: Session, key: int, form: bytes, bound: bytes) -> SecretBytes:
    size = len(form) - _GCM_OVERHEAD
    if size <= 0:
        raise StoreIntegrityError("what the token was to be given is too short")
    material = session.decrypt(key, form[:GCM_NONCE_BYTES], form[GCM_NONCE_BYTES:], bound)
    if len(material) != size:
        raise CustodianUnavailableError("the token answers what cannot be used")
    return material


def _padded(data: Octets) -> bytes:
    return b"".join((data, b"\x80", bytes(_filling(len(data)))))


def _unpadded(data: SecretBytes) -> SecretBytes:
    end, view = data.rfind(b"\x80"), memoryview(data)
    if end < 0 or any(view[end + 1 :]) or len(data) != end + 1 + _filling(end):
        raise StoreIntegrityError("what the token unwrapped is nothing that was wrapped")
    return SecretBytes(view[:end])


def _filling(size: int) -> int:
    """How many zeros stand behind the 0x80 that follows so many bytes."""
    return -(size + 1) % _BLOCK
