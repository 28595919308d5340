"""Which keys the handles in messages name, asked of the store by that alone.

A message may name a key that its caller must not know of. What is asked, remembered and compared
for it is what is asked, remembered and compared for a handle that nobody made, so that the time
tells nobody which of the two it is; and of a key out of reach no record is read, whatever its size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.records.keys import SEALS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mycelium_fractal_net.security.records.open_options import Permit

_MOST: Final = 4096  # that are remembered: more than a batch has
NOBODY: Final = "-nobody-"
"""No key's name: none begins with a hyphen."""


def may_use(permit: Permit | None, key_id: str, encrypts: bool) -> bool:
    """Whether a caller may know of that key, by its name and type; without a ``permit`` of all."""
    return permit is None or (encrypts and permit(key_id))


class HandleName(NamedTuple):
    """The key of a handle, as the store has it; it is authenticated when the key is read."""

    key_id: str
    encrypts: bool

    def is_reached(self, permit: Permit | None) -> bool:
        """Whether it is there, and a caller may know of it."""
        return may_use(permit, self.key_id, self.encrypts) and self.key_id != NOBODY


ABSENT: Final = HandleName(NOBODY, encrypts=True)
"""What a handle names that nobody made: looked at as every name is."""


class NamedHandles:
    """The handles that were refused, and what they name, each for ``lifetime`` seconds.

    Not those that were used: who has no part in a key that others use would see that it is
    known. ``read`` asks the store for many; of those that nobody made it gives nothing. What
    changes this is called with the lock of the cache held.
    """

    def __init__(
        self,
        read: Callable[[Sequence[bytes]], Mapping[bytes, tuple[str, str]]],
        lifetime: float,
    ) -> None:
        self._read = read
        self._lifetime = lifetime
        self._names: dict[bytes, tuple[float, HandleName]] = {}

    def get(self, handle: bytes, now: float) -> HandleName | None:
        """What a handle names that was refused before; None where it has to be asked for."""
        until, name = self._names.get(handle, (0.0, ABSENT))
        return name if now < until else None

    def read(self, handles: Sequence[bytes]) -> dict[bytes, HandleName]:
        """What each of them names, asked of the store together."""
        found = self._read(handles)
        names = {
            each: HandleName(key_id, key_type in SEALS)
            for each, (key_id, key_type) in found.items()
        }
        return {each: names.get(each, ABSENT) for each in handles}

    def noted(
        self, handle: bytes, name: HandleName, permit: Permit | None, now: float
    ) -> HandleName:
        """``name``, which is remembered where it is refused."""
        if not name.is_reached(permit):
            self.keep(handle, name, now)
        return name

    def keep(self, handle: bytes, name: HandleName, now: float) -> None:
        """Remember what is refused."""
        if len(self._names) >= _MOST:
            self._names.pop(next(iter(self._names)))
        self._names[handle] = (now + self._lifetime, name)

    def forget(self) -> None:
        """Ask for each of them again, since the store has changed."""
        self._names.clear()
