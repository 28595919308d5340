"""Messages that do not open, by the place of what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from campaigns.timing.group import Group, Pair, across, among
from campaigns.timing.place import ORDERS, Place, another, flipped
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.records.open_options import OpenOptions

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Format

_ASSOCIATED: Final = b"row 17"
_OTHER: Final = b"row 18"
SMALL, LARGE = 1024, 4 * 16_384 + 1024  # bytes; the large one has four whole chunks and a last one
HANDLE, DATA = "handle", "associated data"
SALT, COMMITMENT_FIRST, COMMITMENT_LAST = "salt", "commitment, first", "commitment, last"
NONCE = "nonce"
BODY_FIRST, BODY_LAST = "body, first byte", "body, last byte"
TAG_FIRST, TAG_LAST = "tag, first byte", "tag, last byte"

# docs/format.md: where each thing stands. Those from the end are negative.
_AT_THE_END: Final = {BODY_LAST: -17, TAG_FIRST: -16, TAG_LAST: -1}
SEALED: Final = {
    HANDLE: 4,
    SALT: 12,
    COMMITMENT_FIRST: 36,
    COMMITMENT_LAST: 67,
    BODY_FIRST: 68,
    **_AT_THE_END,
}
RAW: Final = {NONCE: 0, BODY_FIRST: 12, **_AT_THE_END}
IN_BODY: Final = (BODY_FIRST, *_AT_THE_END)
BEFORE_BODY: Final = (SALT, COMMITMENT_FIRST, COMMITMENT_LAST, DATA)

_COMMITTED: Final = (
    "the commitment is compared before anything is decrypted, as the standard asks: it says that"
    " key, salt and associated data belong together, which whoever changed one of them knows"
)
_NAMED: Final = (
    "no key has that handle, so nothing is derived or decrypted; a handle is public, and of keys"
    " out of reach see the next table"
)
_CHUNKED: Final = (
    "chunks are authenticated one after the other and the first wrong one ends it: the time says"
    " how much of the message was whole, which whoever changed it knows"
)


def messages(
    place: Place, format: Format, places: dict[str, int], size: int = SMALL
) -> dict[str, Callable[[], tuple[bytes, bytes]]]:
    """What makes a message, and associated data, of each class."""

    def make(at: int | None) -> tuple[bytes, bytes]:
        message = place.keyring.encrypt(
            os.urandom(size), key_id=ORDERS, associated_data=_ASSOCIATED, format=format
        )
        if at is None:
            return another(message), another(_OTHER)
        return flipped(message, at), another(_ASSOCIATED)

    def maker(at: int | None) -> Callable[[], tuple[bytes, bytes]]:
        return lambda: make(at)

    return {**{name: maker(at) for name, at in places.items()}, DATA: maker(None)}


def sealed_pairs() -> list[Pair]:
    """What must not differ, and what the standard makes differ."""
    return [
        *among(IN_BODY),
        *among(BEFORE_BODY),
        *across(BEFORE_BODY, IN_BODY, _COMMITTED),
        *across([HANDLE], [COMMITMENT_FIRST, TAG_LAST], _NAMED),
    ]


def groups(place: Place) -> list[Group]:
    """``Keyring.decrypt`` of sealed messages, small and large, and of raw ones."""
    raw = messages(place, "raw", RAW)
    return [
        Group(
            name="decrypt, sealed, 1 KiB",
            what="`Keyring.decrypt` of a sealed message with 1 KiB of data",
            base=TAG_LAST,
            classes=messages(place, "sealed", SEALED),
            pairs=sealed_pairs(),
            delays=(50, 100, 200, 500, 1000),
            attempt=_attempt(place, "sealed", None),
        ),
        Group(
            name="decrypt, sealed, 65 KiB",
            what="the same with 65 KiB, which are five chunks",
            base=TAG_LAST,
            classes=messages(place, "sealed", {name: SEALED[name] for name in IN_BODY}, LARGE),
            pairs=[*among([*_AT_THE_END]), *across([BODY_FIRST], [TAG_LAST], _CHUNKED)],
            delays=(200, 500, 1000, 2000),
            attempt=_attempt(place, "sealed", None),
        ),
        Group(
            name="decrypt, raw, 1 KiB",
            what="`Keyring.decrypt` of a raw message with 1 KiB of data",
            base=TAG_LAST,
            classes=raw,
            pairs=among([*raw]),
            delays=(50, 100, 200, 500, 1000),
            attempt=_attempt(place, "raw", ORDERS),
        ),
    ]


def _attempt(place: Place, format: Format, key_id: str | None) -> Callable[[Any], None]:
    decrypt = place.keyring.decrypt_result

    def attempt(given: tuple[bytes, bytes]) -> None:
        message, associated_data = given
        try:
            decrypt(message, OpenOptions(associated_data), key_id=key_id, format=format)
        except DecryptionError:
            return
        raise AssertionError("a message that is wrong was opened")

    return attempt
