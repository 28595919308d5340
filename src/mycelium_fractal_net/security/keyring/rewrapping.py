"""Many messages moved to the newest version of their keys, one after the other.

To find the two versions, and what they seal with, costs half as much as to open and seal a short
message; of many messages it is done once for each version and moment.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mycelium_fractal_net.security.forking import OfOneProcess, in_child
from mycelium_fractal_net.security.records.keys import KeyState
from mycelium_fractal_net.security.sealed.layout import NAMED_BYTES, parse_header

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.keyring.key_in_use import KeyInUse
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.keyring.opening import MessageKeys
    from mycelium_fractal_net.security.records.open_options import OpenOptions
    from mycelium_fractal_net.security.sealed.sealer import Sealer

_MOST_HELD: Final = 1000


class _Way(NamedTuple):
    """From one version to the newest of its key, as of one generation of the store."""

    generation: int
    until: float  # by the monotonic clock
    ends: tuple[KeyInUse, Sealer, KeyInUse, Sealer] | None = None  # None: it is the newest


class Rewrapper(OfOneProcess):
    """Moves messages of one column, folder or queue. Made by :meth:`.Keyring.rewrapper`.

    What it holds is as fresh as what the keyring holds: a version that is suspended stops within
    the same seconds, and at once where the keyring was told to refresh. For one thread at a time.
    """

    def __init__(
        self, keyring: Keyring, keys: MessageKeys, options: OpenOptions, *, holds: bool
    ) -> None:
        self._keyring = keyring
        self._keys = keys
        self._counts = keys.cache.counts
        self._freshness = keyring.freshness
        self._options = options
        self._holds = holds
        self._start()
        in_child(self, Rewrapper._start)

    def _start(self) -> None:
        self._ways: dict[bytes, _Way] = {}

    def __call__(self, message: bytes, associated_data: Buffer = b"") -> bytes | None:
        """What :meth:`.Keyring.rewrap` gives; None where a message is under the newest version,
        by its first bytes alone.

        Raises as that does, and :class:`KeyNotFoundError` where the store has no such version.
        """
        way = self._way(message)
        if way is None:
            return self._keyring.rewrap(message, **self._how(associated_data))
        if way.ends is None:
            return None
        return self._moved(way.ends, message, associated_data)[1]

    def with_plaintext(self, message: bytes, associated_data: Buffer = b"") -> tuple[bytes, bytes]:
        """What is in a message, and the message under the newest version: itself, if it is that.

        Raises as calling it does.
        """
        way = self._way(message)
        if way is not None and way.ends is not None:
            return self._moved(way.ends, message, associated_data)
        how = self._how(associated_data)
        plaintext = self._keyring.decrypt(message, **how)
        return plaintext, message if way is not None else self._keyring.rewrap(message, **how)

    def _moved(
        self,
        ends: tuple[KeyInUse, Sealer, KeyInUse, Sealer],
        message: bytes,
        associated_data: Buffer,
    ) -> tuple[bytes, bytes]:
        opened, opener, newest, sealer = ends
        self._counts.opened(opened)
        plaintext = opener.open(message, associated_data)
        self._counts.protected(newest)
        return plaintext, sealer.seal(plaintext, associated_data)

    def _how(self, associated_data: Buffer) -> dict[str, Any]:
        options = self._options
        return {
            "associated_data": associated_data,
            "data_key_associated_data": options.data_key_associated_data,
            "allow_compromised": options.allow_compromised,
        }

    def _way(self, message: bytes) -> _Way | None:
        """The way of a message; None where the keyring has to find it for each."""
        name = message[:NAMED_BYTES]
        way = self._ways.get(name)
        if way is not None:
            now = monotonic()
            freshness = self._freshness
            if now < freshness.until and now < way.until and way.generation == freshness.generation:
                return way
        way = self._found(message)
        if way is not None:
            if len(self._ways) >= _MOST_HELD:
                self._ways.clear()
            self._ways[name] = way
        return way

    def _found(self, message: bytes) -> _Way | None:
        generation = self._freshness.generation  # before anything is looked up
        info = self._keyring.describe(message)
        if info.newest:
            return _Way(generation, inf)
        if not self._holds or info.form != "sealed" or info.state is not KeyState.ACTIVE:
            return None
        opened = self._keys.opening(parse_header(message).handle, None, self._options)
        newest = self._keys.cache.opening(opened.key.primary.handle)
        until = min(opened.deadline, newest.deadline)
        return _Way(generation, until, (opened, opened.sealer, newest, newest.sealer))
