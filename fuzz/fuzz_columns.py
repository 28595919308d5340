"""Fuzz what reads the values of a column: bytes and the spellings of base64.

    python -m fuzz columns -max_total_time=60 fuzz/corpus/columns

The first byte of an input chooses the reader. A finding is an error that is not one of ours, or a
value that is not written again as it was read, but for white space.
"""

from __future__ import annotations

import binascii

from fuzz.running import Reader, chosen, seeds_of
from mycelium_fractal_net.columns.coding import (
    BLANKS,
    Habit,
    Value,
    beginning,
    decode,
    decode_as_typed,
    encode,
    named_characters,
)
from mycelium_fractal_net.columns.plaintext import sealed_in
from mycelium_fractal_net.legacy.columns import decode_old
from mycelium_fractal_net.security.errors import DecryptionError, MfnError

MESSAGE = b"MFN\x01\x01\x23\x45\x67\x89\xab\xcd\xef" + bytes(range(72))


def _comes_back(value: Value, message: bytes, coding: object) -> None:
    habit = Habit()
    habit.learn(coding)  # type: ignore[arg-type]
    again = encode(message, coding, habit)  # type: ignore[arg-type]
    if isinstance(value, str):
        assert isinstance(again, str), "a finding: bytes of a text"
        assert again == value.translate(dict.fromkeys(BLANKS)), "a finding: another spelling"
    else:
        assert again in (value, value.translate(None, BLANKS)), "a finding: another spelling"


def octets(data: bytes) -> None:
    _comes_back(data, *decode(data))


def text(data: bytes) -> None:
    value = data.decode("utf-8", "surrogateescape")
    _comes_back(value, *decode(value))


def old(data: bytes) -> None:
    _comes_back(data, *decode_old(data))


def start(data: bytes) -> None:
    for value in (data[:16], data[:16].decode("latin-1")):
        found = beginning(value)
        assert not found or (len(found) == 12 and found.startswith(b"MFN\x01"))


def behind_tag(data: bytes) -> None:
    """The key version of a message behind a tag, from those characters of a text that hold it."""
    offset, value = data[0] % 33 if data else 0, data[1:].decode("latin-1")
    first, count = named_characters(offset)
    found = beginning(value[first : first + count], offset)
    assert not found or (len(found) == 12 and found.startswith(b"MFN\x01"))
    sealed = sealed_in(value, offset)
    assert sealed is None or sealed[offset:].startswith(b"MFN\x01"), "a finding: no message"
    try:
        stored, _ = decode_as_typed(value)
    except DecryptionError:
        return
    if offset and not set(value) & set(BLANKS.decode()):
        assert found == beginning(stored[offset : offset + 12], offset), "a finding: another start"


READERS: tuple[Reader, ...] = (octets, text, old, start, behind_tag)

one_input = chosen(READERS, MfnError)


def seeds() -> dict[str, bytes]:
    """A message in a spelling for each reader."""
    urlsafe = encode(MESSAGE, decode("-_-_")[1], Habit())
    assert isinstance(urlsafe, str)
    contents: dict[Reader, bytes] = {
        octets: MESSAGE,
        text: urlsafe.encode() + b"\r\n",
        old: urlsafe.encode(),
        start: urlsafe[:16].encode(),
        behind_tag: b"\x20" + binascii.b2a_base64(bytes(32) + MESSAGE, newline=False),
    }
    return seeds_of(READERS, contents)
