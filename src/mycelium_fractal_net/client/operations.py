"""The crypto operations, one thing at a time. Bytes in, bytes out.

What these say holds for both clients: :class:`~.clients.Client` has each as a method, and
:class:`~.clients.AsyncClient` as one to be awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mycelium_fractal_net.client.steps import decoded, json_request
from mycelium_fractal_net.client.versioned import Versioned
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import InvalidSignatureError, ServiceError

if TYPE_CHECKING:
    from cryptography.utils import Buffer

    from mycelium_fractal_net.client.steps import Reply, Steps

__all__ = [
    "Format",
    "decrypt",
    "encrypt",
    "mac",
    "rewrap",
    "sign",
    "verify",
    "verify_mac",
    "wrapped_data_key",
]

Format = Literal["sealed", "raw", "xor"]
"""``xor`` is what the XOR cipher wrote, which a service may open and nobody makes."""


# The answers, as far as they are used; a service may add members ------------------------------


class _Made(msgspec.Struct, frozen=True):
    """Bytes under the name that they have in an answer, and the version that made them."""

    key_id: str
    ciphertext: bytes | None = None
    data: bytes | None = None
    signature: bytes | None = None
    mac: bytes | None = None
    wrapped: bytes | None = None
    legacy: bool = False


class Valid(msgspec.Struct, frozen=True):
    """The answer of verify."""

    valid: bool


def _made(reply: Reply, name: str) -> Versioned:
    made = decoded(reply, _Made)
    found = getattr(made, name)
    if found is None:
        raise ServiceError("the answer of the service cannot be read")
    return Versioned.of(found, made.key_id, legacy=made.legacy)


# What is asked ---------------------------------------------------------------------------------


def encryption(
    data: Buffer, key_id: str | None, associated_data: Buffer, format: Format, reference: str | None
) -> dict[str, Any]:
    """The request that :func:`encrypt` sends, and a batch many of."""
    return {
        "data": as_bytes(data),
        "key_id": key_id,
        "associated_data": as_bytes(associated_data) or None,
        "format": format,
        "reference": reference,
    }


def opening(
    message: Buffer,
    key_id: str | None,
    associated_data: Buffer,
    data_key_associated_data: Buffer,
    format: Format,
    allow_compromised: bool,
    reference: str | None,
) -> dict[str, Any]:
    """The request that :func:`decrypt` and :func:`rewrap` send."""
    return {
        "ciphertext": as_bytes(message),
        "key_id": key_id,
        "associated_data": as_bytes(associated_data) or None,
        "data_key_associated_data": as_bytes(data_key_associated_data) or None,
        "format": format,
        "allow_compromised": allow_compromised or None,
        "reference": reference,
    }


# The operations ---------------------------------------------------------------------------------


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
    ``nonce(12) || ciphertext || tag(16)``. ``associated_data`` is authenticated and not stored:
    to decrypt, give it again. ``reference`` is kept in the audit record.
    """
    asked = encryption(data, key_id, associated_data, format, reference)
    return _made((yield json_request("POST", "/crypto/encrypt", asked)), "ciphertext")


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
    asked = opening(
        message, key_id, associated_data, data_key_associated_data, format, allow_compromised,
        reference,
    )  # fmt: skip
    return _made((yield json_request("POST", "/crypto/decrypt", asked)), "data")


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
    asked = opening(
        message, key_id, associated_data, data_key_associated_data, format, allow_compromised,
        reference,
    )  # fmt: skip
    return _made((yield json_request("POST", "/crypto/rewrap", asked)), "ciphertext")


def sign(
    data: Buffer, *, key_id: str | None = None, reference: str | None = None
) -> Steps[Versioned]:
    """A bare signature of ``data`` by the newest version of a signing key. ``sign:KEY``."""
    asked = {"data": as_bytes(data), "key_id": key_id, "reference": reference}
    return _made((yield json_request("POST", "/crypto/sign", asked)), "signature")


def verify(
    data: Buffer, signature: Buffer, *, key_id: str | None = None, reference: str | None = None
) -> Steps[None]:
    """Return if the signature is one of ``data`` under that key. Scope: ``verify:KEY``.

    Raises :class:`InvalidSignatureError`; no answer means anything but that it is valid.
    """
    asked = {
        "data": as_bytes(data),
        "signature": as_bytes(signature),
        "key_id": key_id,
        "reference": reference,
    }
    _accept(decoded((yield json_request("POST", "/crypto/verify", asked)), Valid))


def mac(
    data: Buffer, *, key_id: str | None = None, reference: str | None = None
) -> Steps[Versioned]:
    """The 32 bytes of HMAC-SHA-256 of ``data`` under a key of type ``mac``. ``mac:KEY``."""
    asked = {"data": as_bytes(data), "key_id": key_id, "reference": reference}
    return _made((yield json_request("POST", "/crypto/mac", asked)), "mac")


def verify_mac(
    data: Buffer, tag: Buffer, *, key_id: str | None = None, reference: str | None = None
) -> Steps[None]:
    """Return if ``tag`` is the MAC of ``data`` under that key. Scope: ``mac:KEY``.

    Raises :class:`InvalidSignatureError`.
    """
    asked = {
        "data": as_bytes(data),
        "mac": as_bytes(tag),
        "key_id": key_id,
        "reference": reference,
    }
    _accept(decoded((yield json_request("POST", "/crypto/mac/verify", asked)), Valid))


def _accept(answer: Valid) -> None:
    if answer.valid is not True:
        raise InvalidSignatureError


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
    return _made((yield json_request("POST", "/crypto/datakey", asked)), "wrapped")
