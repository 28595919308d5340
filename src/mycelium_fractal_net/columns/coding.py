"""How a column holds a message: as bytes, or as base64 text in one of its spellings.

A value keeps the spelling that it has. A text without any of the four characters in which the
two alphabets differ does not tell which one its readers take; it gets the one of the column.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Final

from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.sealed.layout import MAGIC, NAMED_BYTES, SEALED

Value = bytes | str
_MAGIC_TEXT: Final = binascii.b2a_base64(MAGIC, newline=False)  # three bytes are four characters
BLANKS: Final = b" \t\r\n"  # of RFC 2045 section 6.8, which wraps lines
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_TO_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")


@dataclass(frozen=True, slots=True)
class Coding:
    """How one value is written. None is what its characters do not tell."""

    text: bool
    """Whether the value is text, and not bytes."""
    base64: bool
    urlsafe: bool | None = None
    padded: bool | None = None


_RAW: Final = Coding(text=False, base64=False)


@dataclass(slots=True)
class Habit:
    """What the values of a column have in common, as far as they were seen."""

    urlsafe: bool = False
    padded: bool = True

    def learn(self, coding: Coding) -> None:
        """Take over what ``coding`` tells."""
        if coding.urlsafe is not None:
            self.urlsafe = coding.urlsafe
        if coding.padded is not None:
            self.padded = coding.padded


def decode(value: Value) -> tuple[bytes, Coding]:
    """The message in a value, and how it is written there. Raises :class:`DecryptionError`.

    Bytes may hold the message or its base64 text. One spelling has one text: unused bits and stray
    characters are refused. White space, which databases and tools put behind it and into it as
    line ends, says nothing and is not written again.
    """
    if isinstance(value, bytes) and value.lstrip(BLANKS).startswith(_MAGIC_TEXT):
        return from_base64(value, text=False)
    return decode_as_typed(value)


def decode_as_typed(value: Value) -> tuple[bytes, Coding]:
    """:func:`decode` where bytes are never text: what is in them may begin with anything."""
    if isinstance(value, bytes):
        return value, _RAW
    try:
        return from_base64(value.encode("ascii"), text=True)
    except UnicodeEncodeError:
        raise DecryptionError from None


def from_base64(written: bytes, *, text: bool) -> tuple[bytes, Coding]:
    """The message that base64 text spells. Raises :class:`DecryptionError`."""
    written = written.translate(None, BLANKS)
    urlsafe = b"-" in written or b"_" in written
    standard = b"+" in written or b"/" in written
    missing = -len(written) % 4
    if (urlsafe and standard) or (missing and written.endswith(b"=")):
        raise DecryptionError
    spelled = written.translate(_TO_STANDARD) if urlsafe else written
    if missing:
        spelled += b"=" * missing
    try:
        message = binascii.a2b_base64(spelled, strict_mode=True)
    except binascii.Error:
        raise DecryptionError from None
    if binascii.b2a_base64(message, newline=False) != spelled:
        raise DecryptionError
    padded = None if not missing and not spelled.endswith(b"=") else not missing
    return message, Coding(text, True, urlsafe if urlsafe or standard else None, padded)


def encode(message: bytes, coding: Coding, habit: Habit) -> Value:
    """``message`` in that spelling; what it leaves open is as ``habit`` has it."""
    if not coding.base64:
        return message
    written = binascii.b2a_base64(message, newline=False)
    if habit.urlsafe if coding.urlsafe is None else coding.urlsafe:
        written = written.translate(_TO_URLSAFE)
    if not (habit.padded if coding.padded is None else coding.padded):
        written = written.rstrip(b"=")
    return written.decode("ascii") if coding.text else written


def named_characters(offset: int) -> tuple[int, int]:
    """Where in base64 the 12 bytes from ``offset`` on stand: first character, and how many."""
    first = offset * 4 // 3
    return first, -(-(offset + NAMED_BYTES) * 4 // 3) - first


def beginning(start: Value, offset: int = 0) -> bytes:
    """The first 12 bytes of a message, from those of its value that hold them.

    Of text they are its :func:`named_characters`; ``offset`` is of the message behind a tag. The
    form in it is always 1, so that 12 bytes tell the key version of both forms. What is no
    message gives nothing.
    """
    try:
        head = _named(start, offset)
    except DecryptionError:
        return b""
    return (
        SEALED + head[len(SEALED) :] if len(head) == NAMED_BYTES and head.startswith(MAGIC) else b""
    )


def _named(start: Value, offset: int) -> bytes:
    if not offset:
        return decode(start)[0][:NAMED_BYTES]
    if isinstance(start, bytes):
        return start
    first = named_characters(offset)[0]
    before = first % 4
    try:
        written = ("A" * before + start).encode("ascii").translate(_TO_STANDARD)
        aligned = binascii.a2b_base64(written + b"A" * (-len(written) % 4), strict_mode=True)
    except ValueError:
        raise DecryptionError from None
    skipped = offset - first // 4 * 3
    there = len(written) * 3 // 4  # of a value that is too short the rest would be made up
    return aligned[skipped : min(skipped + NAMED_BYTES, there)]
