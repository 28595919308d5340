"""`/crypto/encrypt/stream` and `/crypto/decrypt/stream`: bytes of any length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Query

from mycelium_fractal_net.api.endpoints.context import Authenticated, Context
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.endpoints.streaming import StreamTransform
from mycelium_fractal_net.api.parsing.base64_text import base64_bytes, optional_base64
from mycelium_fractal_net.api.routes.crypto import open_options, permitted_key
from mycelium_fractal_net.api.schemas.crypto import DecryptStreamQuery, EncryptStreamQuery
from mycelium_fractal_net.security.byte_io.binary_io import HEAD_BYTES
from mycelium_fractal_net.security.records.keys import DEFAULT_KEY_ID, KeyType
from mycelium_fractal_net.security.records.open_options import OpenOptions
from mycelium_fractal_net.security.sealed.layout import plaintext_bytes, sealed_bytes

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.sealed.push import Decryptor, Encryptor

routes = Routes("streams")

_DEFAULT: Final = DEFAULT_KEY_ID[KeyType.ENCRYPTION]
_PROBLEMS: Final = (
    "not-found",
    "key-state",
    "key-usage",
    "algorithm",
    "http-version",
)


class _Encrypting:
    """A plaintext flows in, a sealed message out."""

    beginning_bytes = 0
    _encryptor: Encryptor

    def __init__(self, keyring: Keyring, key_id: str, associated_data: bytes) -> None:
        self._keyring = keyring
        self._key_id = key_id
        self._associated_data = associated_data

    def begin(self, context: Context, beginning: bytes) -> bytes:
        self._encryptor, context.key = self._keyring.encryptor(
            key_id=self._key_id, associated_data=self._associated_data
        )
        return beginning

    def look_again(self, context: Context) -> None:
        version_id = permitted_key(context, "encrypt", context.key, _DEFAULT)
        self._keyring.check_sealing(version_id)

    def answer_bytes(self, length: int) -> int:
        return sealed_bytes(length)

    def update(self, data: bytes) -> bytes:
        return self._encryptor.update(data)

    def finalize(self) -> bytes:
        return self._encryptor.finalize()


class _Decrypting:
    """A sealed message of either form flows in, its plaintext out."""

    beginning_bytes = HEAD_BYTES
    _decryptor: Decryptor

    def __init__(self, keyring: Keyring, key_id: str | None, options: OpenOptions) -> None:
        self._keyring = keyring
        self._key_id = key_id
        self._options = options
        self._beginning = b""

    def begin(self, context: Context, beginning: bytes) -> bytes:
        self._beginning = beginning
        self._decryptor, context.key, used = self._keyring.decryptor(
            beginning, self._options, key_id=self._key_id
        )
        return beginning[used:]

    def look_again(self, context: Context) -> None:
        if self._options.allow_compromised:
            context.caller.check("allow_compromised")
        version_id = permitted_key(context, "decrypt", context.key, _DEFAULT)
        self._keyring.check_opening(version_id, self._options)

    def answer_bytes(self, length: int) -> int:
        return plaintext_bytes(self._beginning, length)

    def update(self, data: bytes) -> bytes:
        return self._decryptor.update(data)

    def finalize(self) -> bytes:
        return self._decryptor.finalize()


def _associated_data(context: Context) -> bytes:
    """The header ``X-Associated-Data``, which is base64 as in the JSON routes."""
    headers = context.headers
    text = b"" if headers is None else headers.associated_data
    return base64_bytes(text.decode("latin-1"), "X-Associated-Data")


@routes.add(
    "POST", "/crypto/encrypt/stream", "encrypt.stream", None, problems=_PROBLEMS,
    streams=True, media_type="application/octet-stream",
)  # fmt: skip
def encrypt_stream(
    context: Authenticated, query: Annotated[EncryptStreamQuery, Query()]
) -> StreamTransform:
    """Seal a stream of any length. Scope: `encrypt:KEY`.

    `X-Key-Id` of the answer names the version. The associated data is in `X-Associated-Data`.
    Read the answer while sending: the service holds no more than some chunks.
    """
    key_id = permitted_key(context, "encrypt", query.key_id, _DEFAULT)
    return _Encrypting(context.keyring, key_id, _associated_data(context))


@routes.add(
    "POST", "/crypto/decrypt/stream", "decrypt.stream", None,
    problems=("decryption-failed", "forbidden", *_PROBLEMS),
    streams=True, media_type="application/octet-stream",
)  # fmt: skip
def decrypt_stream(
    context: Authenticated, query: Annotated[DecryptStreamQuery, Query()]
) -> StreamTransform:
    """Open a stream of any length. Scope: `decrypt:KEY`.

    What comes is authenticated; that it is all is known only when the answer ends well. A
    message that turns out wrong ends the connection abnormally. Read the answer while sending:
    the service holds no more than some chunks.
    """
    if query.key_id is not None:
        permitted_key(context, "decrypt", query.key_id, _DEFAULT)
    of_data_key = optional_base64(query.data_key_associated_data, "?data_key_associated_data")
    options = open_options(context, "decrypt", query, _associated_data(context), of_data_key)
    return _Decrypting(context.keyring, query.key_id, options)
