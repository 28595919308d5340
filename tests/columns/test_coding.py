"""How a column writes messages: as it did before, and never in a way that it does not."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.columns.coding import (
    Habit,
    beginning,
    decode,
    encode,
    named_characters,
)
from mycelium_fractal_net.security.errors import DecryptionError

MESSAGES = st.binary(max_size=200).map(lambda rest: b"MFN\x01" + rest)


@given(MESSAGES, st.booleans(), st.booleans(), st.booleans())
def test_a_value_keeps_its_spelling(
    message: bytes, urlsafe: bool, padded: bool, as_text: bool
) -> None:
    """Whatever of it shows in the characters comes back; what does not is the column's."""
    written = (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(message)
    written = written if padded else written.rstrip(b"=")
    value = written.decode() if as_text else written
    found, coding = decode(value)
    assert found == message
    assert encode(message, coding, Habit(urlsafe, padded)) == value
    other = Habit(
        not urlsafe if coding.urlsafe is None else urlsafe,
        not padded if coding.padded is None else padded,
    )
    if coding.urlsafe is not None and coding.padded is not None:
        assert encode(message, coding, Habit(not urlsafe, not padded)) == value
    again, _ = decode(encode(message, coding, other))
    assert again == message


@given(MESSAGES)
def test_bytes_stay_bytes(message: bytes) -> None:
    """A message that is stored as it is needs no coding."""
    found, coding = decode(message)
    assert (found, encode(message, coding, Habit())) == (message, message)


@pytest.mark.parametrize(
    "value",
    [
        "TUZOAR==",  # unused bits
        "TUZOA",
        "TUZOAQ=",
        "TUZOAQ===",
        "TU=OAQ==",
        "TUZO+_8A",  # both alphabets
        "TUZOä",
        b"TUZOA!",
    ],
)
def test_what_is_not_one_spelling_of_base64_is_no_message(value: str | bytes) -> None:
    """It could not be written back as it was."""
    with pytest.raises(DecryptionError):
        decode(value)


@pytest.mark.parametrize(
    "value", ["TUZOAQ==\n", " TUZOAQ==", "TUZO\r\nAQ==\r\n", b"\tTUZO\nAQ==\n", b"TUZOAQ== "]
)
def test_white_space_is_no_part_of_base64(value: str | bytes) -> None:
    """``base64`` and PostgreSQL's ``encode`` wrap lines; what is written again has one line."""
    message, coding = decode(value)
    assert message == b"MFN\x01"
    text = "TUZOAQ=="
    assert encode(message, coding, Habit()) == (text if isinstance(value, str) else text.encode())


def test_a_habit_is_what_the_values_tell() -> None:
    """Values that tell nothing change nothing."""
    habit = Habit()
    habit.learn(decode("TUZO")[1])
    assert habit == Habit(urlsafe=False, padded=True)
    habit.learn(
        decode(base64.urlsafe_b64encode(b"MFN\x01\xff\xfe\xff\xfe").decode().rstrip("="))[1]
    )
    assert habit == Habit(urlsafe=True, padded=False)


def test_the_beginning_tells_the_version_of_both_forms() -> None:
    """Of bytes and of text; the form is not told, so that twelve bytes are enough."""
    for form in (1, 2):
        message = b"MFN" + bytes([form]) + b"8 bytes!" + os.urandom(100)
        for value in (message[:16], base64.b64encode(message).decode()[:16]):
            assert beginning(value) == b"MFN\x018 bytes!"


@pytest.mark.parametrize("value", ["rubbish, really!", "TUZO", b"MFN\x01short", b"", "x" * 16])
def test_what_is_no_message_has_no_beginning(value: str | bytes) -> None:
    """It is counted under no version."""
    assert beginning(value) == b""


@given(st.integers(1, 32), st.binary(max_size=44), st.booleans())
def test_the_beginning_of_a_short_message_behind_a_tag_is_not_made_up(
    offset: int, rest: bytes, urlsafe: bool
) -> None:
    """Of its base64 text as of its bytes: what ends within the handle has no version."""
    stored = bytes(offset) + (b"MFN\x01" + rest)
    spell = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    text = spell(stored).decode().rstrip("=")
    first, count = named_characters(offset)
    assert beginning(text[first : first + count], offset) == (
        beginning(stored[offset : offset + 12], offset)
    )
