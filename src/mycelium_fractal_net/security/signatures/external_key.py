"""A signing key that stays with its custodian; what it signs is verified before it goes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.algorithms.names import ED25519_MESSAGE_BYTES
from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError, MfnError
from mycelium_fractal_net.security.signatures.prehash import (
    is_labelled,
    prehash,
    prehashed_message,
)
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

_Verify = Callable[[VerifyingKey], None]


class ExternalSigningKey:
    """Signs as :class:`~.signing_key.SigningKey` does, by asking.

    ``ask`` takes the message and gives the bare signature, and may wait. ``refusal`` gives the
    error to raise where that is no signature of the message under ``public``; it is given what
    verifies it under another key.
    """

    __slots__ = ("_ask", "_refusal", "public")

    def __init__(
        self,
        public: VerifyingKey,
        ask: Callable[[bytes], bytes],
        refusal: Callable[[_Verify], MfnError],
    ) -> None:
        self.public = public
        self._ask = ask
        self._refusal = refusal

    def __repr__(self) -> str:
        return f"ExternalSigningKey({self.public.algorithm})"

    def sign(self, data: Buffer) -> bytes:
        """The signature of ``data``.

        :raises InvalidInputError: it begins with the label of signed hashes, is no buffer, or is
            over 4,096 bytes and the algorithm Ed25519.
        """
        message = bytes(as_bytes(data))
        if is_labelled(message):
            raise InvalidInputError("the data begins with the label that marks signed hashes")
        if self.public.algorithm == "Ed25519" and len(message) > ED25519_MESSAGE_BYTES:
            raise InvalidInputError(
                "an external Ed25519 key signs at most 4,096 bytes as they are: have a longer"
                " message pre-hashed, as files are (keyring.sign_stream), or take an ECDSA key"
            )
        signature = self._ask(message)
        self._check(lambda public: public.verify(message, signature))
        return signature

    def sign_fixed_size(self, data: Buffer) -> bytes:
        """As :meth:`sign`, in a form of one size: ``r || s`` for ECDSA (RFC 7518 section 3.4)."""
        return self.public.fixed_size(self.sign(data))

    def sign_prehashed(self, digest: Buffer) -> bytes:
        """The signature of the stream with that SHA-512 (:func:`prehash`).

        :raises InvalidInputError: the digest is not 64 bytes.
        """
        signature = self._ask(prehashed_message(digest))
        self._check(lambda public: public.verify_prehashed(digest, signature))
        return signature

    def sign_stream(self, reader: BinaryReader) -> bytes:
        """The signature of ``PREHASH_LABEL || SHA-512(stream)``; reads to the end."""
        return self.sign_prehashed(prehash(reader))

    def _check(self, verify: _Verify) -> None:
        try:
            verify(self.public)
        except InvalidSignatureError:
            raise self._refusal(verify) from None
