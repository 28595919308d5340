"""HMAC-SHA-256 under a key of its own."""

from __future__ import annotations

import hmac
import os
from typing import Any

import pytest

from mycelium_fractal_net.security.algorithms.mac import ALGORITHM, KEY_BYTES, TAG_BYTES, MacKey
from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    InvalidKeyError,
    InvalidSignatureError,
)

KEY = bytes(range(32))


@pytest.mark.parametrize("size", [0, 1, 55, 56, 64, 100_000])
def test_a_tag_is_the_hmac_of_the_standard_library(size: int) -> None:
    """The same 32 bytes that any other HMAC-SHA-256 gives, time after time."""
    data = os.urandom(size)
    key = MacKey(KEY)
    for _ in range(2):
        tag = key.tag(data)
        assert tag == hmac.digest(KEY, data, "sha256")
        assert len(tag) == TAG_BYTES
        key.verify(data, tag)


def test_every_flipped_bit_of_a_tag_is_refused() -> None:
    """At every position, with the one error."""
    key = MacKey(KEY)
    tag = key.tag(b"data")
    for position in range(len(tag) * 8):
        changed = bytearray(tag)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(InvalidSignatureError, match="does not verify"):
            key.verify(b"data", changed)


def test_a_cut_extended_or_empty_tag_is_refused() -> None:
    """A short tag is never compared in part."""
    key = MacKey(KEY)
    tag = key.tag(b"data")
    for wrong in (*(tag[:length] for length in range(32)), tag + b"\0", tag * 2):
        with pytest.raises(InvalidSignatureError):
            key.verify(b"data", wrong)


def test_other_data_and_other_keys_are_refused() -> None:
    """A byte of the data, or of the key."""
    tag = MacKey(KEY).tag(b"data")
    with pytest.raises(InvalidSignatureError):
        MacKey(KEY).verify(b"datb", tag)
    with pytest.raises(InvalidSignatureError):
        MacKey(bytes(32)).verify(b"data", tag)


def test_data_tag_and_key_may_lie_in_any_buffer() -> None:
    """bytearray and memoryview, of wider elements too."""
    key = MacKey(bytearray(KEY))
    tag = key.tag(memoryview(b"datadata").cast("Q"))
    key.verify(bytearray(b"datadata"), memoryview(tag))


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33), bytes(64), "k" * 32, None, 32])
def test_a_key_of_any_other_size_or_kind_is_refused(wrong: Any) -> None:
    """32 bytes or an error."""
    assert KEY_BYTES == 32
    with pytest.raises(InvalidKeyError, match="exactly 32 bytes"):
        MacKey(wrong)


@pytest.mark.parametrize("wrong", ["text", None, 5])
def test_text_is_neither_data_nor_tag(wrong: Any) -> None:
    """A caller's mistake is named as such."""
    key = MacKey(KEY)
    with pytest.raises(InvalidInputError):
        key.tag(wrong)
    with pytest.raises(InvalidInputError):
        key.verify(b"data", wrong)


def test_a_mac_key_shows_its_algorithm_alone() -> None:
    """Its repr has no key and no attribute leads to one."""
    assert repr(MacKey(KEY)) == f"MacKey({ALGORITHM})" == "MacKey(HMAC-SHA-256)"
    assert not hasattr(MacKey(KEY), "__dict__")
