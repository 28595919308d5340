"""Key bytes that are overwritten when nothing refers to them any more.

CPython never overwrites what it frees: ``bytes`` that held a key lie in memory until something else
takes their place, which may be never. A ``bytearray`` can be overwritten, and this one does it by
itself. It is done when the last reference goes and not earlier, at somebody's word: whoever still
holds a key would go on under zeros.

What cannot be reached from here: copies that a library made inside of itself, what ``bytes``,
``str`` and ``int`` a secret came through, pages that were swapped out, and the pages of a child of
fork(2), which are its own. At the end of a process the kernel takes all memory back, and clears a
page before another process gets it.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import NoReturn


class SecretBytes(bytearray):
    """A key. Takes what :class:`bytearray` takes; shows nothing, is neither pickled nor copied.

    It goes wherever a buffer is taken. Slices of it are plain ``bytearray``: take a ``memoryview``.
    """

    __slots__ = ()
    __hash__ = None

    def __eq__(self, other: object) -> bool:
        """Whether that is the same key, compared in constant time."""
        return isinstance(other, bytes | bytearray | memoryview) and compare_digest(self, other)

    def __del__(self) -> None:
        self[:] = bytes(len(self))

    def __repr__(self) -> str:
        return f"<SecretBytes, {len(self)} bytes>"

    __str__ = __repr__

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("SecretBytes is not pickled or copied")
