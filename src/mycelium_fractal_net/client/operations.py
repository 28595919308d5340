"""The crypto operations, one thing at a time, and data keys. Bytes in, bytes out.

What these say holds for both clients: :class:`~.clients.Client` has each as a method, and
:class:`~.clients.AsyncClient` as one to be awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mycelium_fractal_net.client.steps import UNREADABLE, decoded, json_request
from mycelium_fractal_net.client.values import (
    DecryptItem,
    EncryptItem,
    SignItem,
    VerifyItem,
    Versioned,
)
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidKeyError,
    InvalidSignatureError,
    ServiceError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mycelium_fractal_net.client.steps import Steps
    from mycelium_fractal_net.client.values import Format
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.sealed.sealer import DataKey


# What is asked, once or many times in a batch --------------------------------------------------


def encrypt_body(item: EncryptItem) -> dict[str, Any]:
    """The request of :func:`encrypt`."""
    return {
        "data": as_bytes(item.data),
        "key_id": item.key_id,
        "associated_data": as_bytes(item.associated_data) or None,
        "format": item.format,
        "reference": item.reference,
    }


def decrypt_body(item: DecryptItem) -> dict[str, Any]:
    """The request of :func:`decrypt` and of :func:`rewrap`."""
    return {
        "ciphertext": as_bytes(item.message),
        "key_id": item.key_id,
        "associated_data": as_bytes(item.associated_data) or None,
        "data_key_associated_data": as_bytes(item.data_key_associated_data) or None,
        "format": item.format,
        "allow_compromised": item.allow_compromised or None,
        "reference": item.reference,
    }


def sign_body(item: SignItem) -> dict[str, Any]:
    """The request of :func:`sign`, and of :func:`mac`."""
    return {"data": as_bytes(item.data), "key_id": item.key_id, "reference": item.reference}


def verify_body(item: VerifyItem, name: str = "signature") -> dict[str, Any]:
    """The request of :func:`verify`, and of :func:`verify_mac` by another name."""
    return {
        "data": as_bytes(item.data),
        name: as_bytes(item.signature),
        "key_id": item.key_id,
        "reference": item.reference,
    }


# What is answered, as far as it is used; a service may add members -----------------------------


class BytesReply(msgspec.Struct, frozen=True):
    """Bytes under the name that they have in an answer, and the version that made them."""

    key_id: str
    ciphertext: bytes | None = None
    data: bytes | None = None
    signature: bytes | None = None
    mac: bytes | None = None
    wrapped: bytes | None = None
    legacy: bool = False


class _Valid(msgspec.Struct, frozen=True):
    valid: bool


def bytes_named(name: str, answer: BytesReply) -> Versioned:
    """The bytes of that name in an answer."""
    found = getattr(answer, name)
    if found is None:
        raise ServiceError(UNREADABLE)
    return Versioned.of(found, answer.key_id, legacy=answer.legacy)


def request_bytes(path: str, asked: dict[str, Any], name: str) -> Steps[Versioned]:
    """Ask, and take the bytes of that name out of the answer."""
    return bytes_named(name, decoded((yield json_request("POST", path, asked)), BytesReply))


def _verified(path: str, asked: dict[str, Any]) -> Steps[None]:
    if decoded((yield json_request("POST", path, asked)), _Valid).valid is not True:
        raise InvalidSignatureError


# One thing at a time ----------------------------------------------------------------------------


def encrypt(
    data: Buffer,
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    format: Format = "sealed",
    reference: str | None = None,
) -> Steps[Versioned]:
    """``data`` encrypted under the newest version of ``key_id``. Scope: ``encrypt:KEY``.

    ``sealed`` gives a sealed message (docs/format.md), ``raw`` gives
    ``nonce(12) || ciphertext || tag(16)``, and ``deterministic`` equal messages for equal data,
    under a key of that type, which must be named. ``associated_data`` is authenticated and not
    stored: to decrypt, give it again. ``reference`` is kept in the audit record.
    """
    item = EncryptItem(data, key_id, associated_data, format, reference)
    return (yield from request_bytes("/crypto/encrypt", encrypt_body(item), "ciphertext"))


def decrypt(
    message: Buffer,
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    data_key_associated_data: Buffer = b"",
    format: Format = "sealed",
    allow_compromised: bool = False,
    reference: str | None = None,
) -> Steps[Versioned]:
    """The plaintext of a message, sealed (both forms) or raw. Scope: ``decrypt:KEY``.

    A sealed message names its key itself, and a ``key_id`` that is given must agree. Of what the
    XOR cipher wrote, the text in ASCII, ``legacy`` of the result is true.
    Raises :class:`DecryptionError`, with one text for all that can be wrong with a message.
    """
    item = DecryptItem(
        message, key_id, associated_data, data_key_associated_data, format, allow_compromised,
        reference,
    )  # fmt: skip
    return (yield from request_bytes("/crypto/decrypt", decrypt_body(item), "data"))


def rewrap(
    message: Buffer,
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    data_key_associated_data: Buffer = b"",
    format: Format = "sealed",
    allow_compromised: bool = False,
    reference: str | None = None,
) -> Steps[Versioned]:
    """The same message under the newest version of its key; the plaintext stays in the service.

    Scope: ``rewrap:KEY``. Raises :class:`DecryptionError`.
    """
    item = DecryptItem(
        message, key_id, associated_data, data_key_associated_data, format, allow_compromised,
        reference,
    )  # fmt: skip
    return (yield from request_bytes("/crypto/rewrap", decrypt_body(item), "ciphertext"))


def sign(
    data: Buffer, *, key_id: str | None = None, reference: str | None = None
) -> Steps[Versioned]:
    """A bare signature of ``data`` by the newest version of a signing key. ``sign:KEY``."""
    item = SignItem(data, key_id, reference)
    return (yield from request_bytes("/crypto/sign", sign_body(item), "signature"))


def verify(
    data: Buffer, signature: Buffer, *, key_id: str | None = None, reference: str | None = None
) -> Steps[None]:
    """Return if the signature is one of ``data`` under that key. Scope: ``verify:KEY``.

    Raises :class:`InvalidSignatureError`; no answer means anything but that it is valid.
    """
    item = VerifyItem(data, signature, key_id, reference)
    yield from _verified("/crypto/verify", verify_body(item))


def mac(
    data: Buffer, *, key_id: str | None = None, reference: str | None = None
) -> Steps[Versioned]:
    """The 32 bytes of HMAC-SHA-256 of ``data`` under a key of type ``mac``. ``mac:KEY``."""
    item = SignItem(data, key_id, reference)
    return (yield from request_bytes("/crypto/mac", sign_body(item), "mac"))


def verify_mac(
    data: Buffer, tag: Buffer, *, key_id: str | None = None, reference: str | None = None
) -> Steps[None]:
    """Return if ``tag`` is the MAC of ``data`` under that key. Scope: ``mac:KEY``.

    Raises :class:`InvalidSignatureError`.
    """
    item = VerifyItem(data, tag, key_id, reference)
    yield from _verified("/crypto/mac/verify", verify_body(item, "mac"))


# Data keys -------------------------------------------------------------------------------------


class _DataKeyReply(msgspec.Struct, frozen=True):
    wrapped: bytes
    plaintext: bytes
    key_id: str


def data_key(
    policy: Policy,
    key_id: str | None,
    associated_data: Buffer,
    reference: str | None,
) -> Steps[tuple[DataKey, str]]:
    """A data key, and the version that wrapped it."""
    asked = {
        "key_id": key_id,
        "associated_data": as_bytes(associated_data) or None,
        "reference": reference,
    }
    answer = decoded((yield json_request("POST", "/crypto/datakey", asked)), _DataKeyReply)
    try:
        return policy.data_key(answer.plaintext, answer.wrapped), answer.key_id
    except (DecryptionError, InvalidKeyError):
        pass
    raise ServiceError("the service sent what is no data key")


def wrapped_data_key(
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    reference: str | None = None,
) -> Steps[Versioned]:
    """A new data key that is wrapped alone, 116 bytes, for whoever hands it on.

    Scope: ``datakey:KEY``. :meth:`data_key` gives the plain one too.
    """
    asked = {
        "key_id": key_id,
        "associated_data": as_bytes(associated_data) or None,
        "wrapped_only": True,
        "reference": reference,
    }
    return (yield from request_bytes("/crypto/datakey", asked, "wrapped"))


def report(uses: Mapping[str, Mapping[str, int]], reference: str | None) -> Steps[None]:
    """Have it recorded what was done with the data keys of each version.

    That are the messages ``encrypted``, ``decrypted`` and ``failed``, and ``bytes`` of plaintext.
    Repeated only if it never arrived: it would count twice.
    """
    shown = [{"key_id": key_id, **counts} for key_id, counts in uses.items()]
    asked = {"uses": shown, "reference": reference}
    yield json_request("POST", "/crypto/datakey/report", asked, repeatable=False)
