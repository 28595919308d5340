"""Keys that are out of a caller's reach, and keys that are not there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from campaigns.timing.group import Group, Pair
from campaigns.timing.place import HIDDEN, ORDERS, Place
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.records.keys import HANDLE_BYTES
from mycelium_fractal_net.security.records.open_options import OpenOptions

if TYPE_CHECKING:
    from collections.abc import Callable

OUT_OF_REACH, UNKNOWN = "out of reach", "unknown handle"
_LOOKED_UP: Final = (
    "the steps are the same for both, and CPython takes longer for some of them: a dictionary"
    " compares a handle that it has, and a text is compared to its end with one of equal length."
    " What a caller can see of that is what the part over HTTP measures"
)
_BODY_BYTES: Final = 1108  # salt, commitment, 1 KiB and a tag; nothing of it is looked at


def beginnings(place: Place) -> dict[str, bytes]:
    """The first 12 bytes of a message of each: form and handle."""
    hidden = place.keyring.encrypt(b"", key_id=HIDDEN)[:12]
    return {OUT_OF_REACH: hidden, UNKNOWN: hidden[:4] + os.urandom(HANDLE_BYTES)}


def messages(place: Place) -> dict[str, Callable[[], bytes]]:
    """What makes a message of each."""

    def maker(beginning: bytes) -> Callable[[], bytes]:
        return lambda: beginning + os.urandom(_BODY_BYTES)

    return {name: maker(beginning) for name, beginning in beginnings(place).items()}


def groups(place: Place) -> list[Group]:
    """``Keyring.decrypt`` for a caller who may use one key, of messages of others."""
    decrypt = place.keyring.decrypt_result
    options = OpenOptions(permit=lambda name: name == ORDERS)

    def attempt(message: bytes) -> None:
        try:
            decrypt(message, options)
        except DecryptionError:
            return
        raise AssertionError("a message out of reach was opened")

    classes: dict[str, Any] = {**messages(place)}
    return [
        Group(
            name="decrypt, out of reach",
            what="`Keyring.decrypt` of a message whose key the caller may not use, or that nobody"
            " has, after the first time",
            base=UNKNOWN,
            classes=classes,
            pairs=[Pair(OUT_OF_REACH, UNKNOWN, _LOOKED_UP)],
            delays=(10, 20, 50, 100, 200, 500),
            attempt=attempt,
        )
    ]
