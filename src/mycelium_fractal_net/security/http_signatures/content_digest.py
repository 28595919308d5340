"""The ``Content-Digest`` of a body: RFC 9530 section 2.

``sha-256`` and ``sha-512`` are known. Other algorithms are ignored where one of these stands
beside them, and each known one that is there must be right.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Iterable
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.algorithms.digests import running_sha256, running_sha512, sha256
from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.structured_fields import (
    parse_byte_sequences,
    serialise_byte_sequences,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from mycelium_fractal_net.security.algorithms.digests import Running

_HASHES: Final[dict[str, Callable[[], Running]]] = {
    "sha-256": running_sha256,
    "sha-512": running_sha512,
}
_SHA_256: Final = b"sha-256=:%b:"


def content_digest(body: Buffer, algorithm: str = "sha-256") -> str:
    """The field's value for a body as it is sent, encodings included.

    :raises InvalidInputError: the algorithm is neither ``sha-256`` nor ``sha-512``.
    """
    return content_digest_of((body,), algorithm)


def content_digest_of(pieces: Iterable[Buffer], algorithm: str = "sha-256") -> str:
    """:func:`content_digest` of a body that is read piece by piece."""
    if algorithm not in _HASHES:
        raise InvalidInputError("the digest of a body is sha-256 or sha-512")
    running = _HASHES[algorithm]()
    for piece in pieces:
        running.update(piece)
    return serialise_byte_sequences({algorithm: running.digest()})


def check_content_digest(field: bytes, body: Buffer) -> None:
    """Return if the field, without blanks around it, fits the body.

    :raises InvalidSignatureError: it does not, is malformed, or has no algorithm that is known.
    """
    if compare_digest(_SHA_256 % b2a_base64(sha256(body), newline=False), field):
        return  # as everybody writes it; nothing is left to be parsed
    digest = BodyDigest(field)
    digest.update(body)
    digest.check()


class BodyDigest:
    """The same check over a body that is read piece by piece. For one body and one thread.

    :raises InvalidSignatureError: the field is malformed, or has no algorithm that is known.
    """

    __slots__ = ("_running",)

    def __init__(self, field: bytes) -> None:
        self._running = [
            (_HASHES[name](), expected)
            for name, expected in parse_byte_sequences(field).items()
            if name in _HASHES
        ]
        if not self._running:
            raise InvalidSignatureError

    def update(self, piece: Buffer) -> None:
        """Take the next piece of the body."""
        for running, _ in self._running:
            running.update(piece)

    def check(self) -> None:
        """Return if the field fits what was taken. Raises :class:`InvalidSignatureError`."""
        for running, expected in self._running:
            if not compare_digest(running.digest(), expected):
                raise InvalidSignatureError
