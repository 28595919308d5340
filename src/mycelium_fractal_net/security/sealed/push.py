"""A sealed message in pieces that the caller pushes: for event loops and protocols."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import AlreadyFinalized, InvalidTag

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError

if TYPE_CHECKING:
    from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor

    from mycelium_fractal_net.security.byte_io.buffers import Buffer

_FINISHED: Final = "the message was finished already"


class Encryptor:
    """Seals one message that is pushed in pieces; the pieces returned, joined, are the message."""

    __slots__ = ("_encryptor", "_prefix")

    def __init__(self, encryptor: Cobblestone256Encryptor, prefix: bytes) -> None:
        self._encryptor = encryptor
        self._prefix = prefix

    def update(self, data: Buffer) -> bytes:
        """The next part of the message, which may be empty; the first begins with the prefix."""
        data = as_bytes(data)
        return self._prefixed(lambda: self._encryptor.update(data))

    def finalize(self) -> bytes:
        """The last part. After it every call raises :class:`InvalidInputError`."""
        return self._prefixed(self._encryptor.finalize)

    def _prefixed(self, step: Callable[[], bytes]) -> bytes:
        try:
            part = step()
        except AlreadyFinalized:
            raise InvalidInputError(_FINISHED) from None
        prefix, self._prefix = self._prefix, b""
        return prefix + part


class Decryptor:
    """Opens one message that is pushed in pieces, from the salt on.

    What it returns is authenticated; that it is all of the message is known when
    :meth:`finalize` has returned. After one :class:`DecryptionError` every call raises it.
    """

    __slots__ = ("_decryptor", "_finished")

    def __init__(self, decryptor: Cobblestone256Decryptor) -> None:
        self._decryptor = decryptor
        self._finished = False

    def update(self, data: Buffer) -> bytes:
        """The plaintext of the chunks that are now complete. Raises :class:`DecryptionError`."""
        data = as_bytes(data)
        return self._opened(lambda: self._decryptor.update(data))

    def finalize(self) -> bytes:
        """The rest of the plaintext. Raises :class:`DecryptionError`."""
        plaintext = self._opened(self._decryptor.finalize)
        self._finished = True
        return plaintext

    def _opened(self, step: Callable[[], bytes]) -> bytes:
        if self._finished:
            raise InvalidInputError(_FINISHED)
        try:
            return step()
        except (InvalidTag, AlreadyFinalized, ValueError):
            raise DecryptionError from None
