"""Deterministic messages: AES-256-SIV as RFC 5297 has it, and every other one is refused."""

from __future__ import annotations

import functools
import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError
from mycelium_fractal_net.security.sealed.deterministic import (
    KEY_BYTES,
    OVERHEAD_BYTES,
    DeterministicCipher,
)
from mycelium_fractal_net.security.sealed.layout import deterministic_handle

KEY = hashlib.sha512(b"mycelium-fractal-net test key").digest()
HANDLE = bytes.fromhex("0123456789abcdef")


@functools.cache
def cipher() -> DeterministicCipher:
    """Made when a test asks for it: FIPS mode refuses it."""
    return DeterministicCipher(KEY, HANDLE)


def _cmac(data: bytes) -> bytes:
    state = CMAC(algorithms.AES(KEY[:32]))
    state.update(data)
    return state.finalize()


def _doubled(block: bytes) -> bytes:
    number = int.from_bytes(block) << 1
    return ((number ^ 0x87) & ((1 << 128) - 1) if number >> 128 else number).to_bytes(16)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _siv(data: bytes, associated_data: bytes) -> bytes:
    """RFC 5297 section 2.4 and 2.6, with one component of associated data."""
    first = _xor(_doubled(_cmac(bytes(16))), _cmac(associated_data))
    if len(data) >= 16:
        last = data[:-16] + _xor(data[-16:], first)
    else:
        last = _xor(_doubled(first), data.ljust(16, b"\x80") if not data else _padded(data))
    siv = _cmac(last)
    counter = (int.from_bytes(siv) & ~((1 << 63) | (1 << 31))).to_bytes(16)
    encryptor = Cipher(algorithms.AES(KEY[32:]), modes.CTR(counter)).encryptor()
    return siv + encryptor.update(data)


def _padded(data: bytes) -> bytes:
    return (data + b"\x80").ljust(16, b"\0")


@given(st.binary(max_size=100), st.binary(max_size=40))
def test_a_message_is_what_the_standard_says(data: bytes, associated_data: bytes) -> None:
    """The header, then the SIV and the ciphertext of an implementation from the RFC's text."""
    data = data or b"\0"
    message = cipher().seal(data, associated_data)
    assert message == b"MFN\x03" + HANDLE + _siv(data, associated_data)
    assert cipher().open(message, associated_data) == data


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
def test_equal_data_gives_equal_messages(size: int) -> None:
    """Under equal associated data; and 28 bytes more than the data, which may be empty."""
    data = bytes(size)
    assert cipher().seal(data) == cipher().seal(bytearray(data), b"")
    assert cipher().seal(data) != cipher().seal(data, b"row 17")
    assert len(cipher().seal(data)) == OVERHEAD_BYTES + size
    assert cipher().open(cipher().seal(data)) == data


def test_every_bit_of_a_message_counts() -> None:
    """The header's too, so that a message cannot pass for one of another form or version."""
    message = cipher().seal(b"alice@example.com", b"users")
    for bit in range(8 * len(message)):
        wrong = bytearray(message)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionError):
            cipher().open(wrong, b"users")
    for size in range(len(message)):
        with pytest.raises(DecryptionError):
            cipher().open(message[:size], b"users")
    for other in (b"", b"user", b"users "):
        with pytest.raises(DecryptionError):
            cipher().open(message, other)
    with pytest.raises(DecryptionError):
        DeterministicCipher(KEY[::-1], HANDLE).open(message, b"users")


def test_associated_data_is_one_component() -> None:
    """The standard has lists of them, under which other lists are other messages."""
    several = AESSIV(KEY).encrypt(b"data", [b"us", b"ers"])
    with pytest.raises(DecryptionError):
        cipher().open(b"MFN\x03" + HANDLE + several, b"users")
    none = AESSIV(KEY).encrypt(b"data", [])
    with pytest.raises(DecryptionError):
        cipher().open(b"MFN\x03" + HANDLE + none, b"")


@pytest.mark.parametrize("size", [0, 32, 48, 63, 65, 128])
def test_keys_are_64_bytes(size: int) -> None:
    """The library would take two sizes more, of weaker ciphers."""
    with pytest.raises(InvalidKeyError, match=f"exactly {KEY_BYTES}"):
        DeterministicCipher(bytes(size), HANDLE)


def test_a_handle_is_read_of_these_messages_alone() -> None:
    """What is too short for one, or of another form, names nothing."""
    message = cipher().seal(b"")
    assert deterministic_handle(message) == HANDLE
    for wrong in (b"", message[:-1], b"MFN\x01" + message[4:], b"x" * 40):
        with pytest.raises(DecryptionError):
            deterministic_handle(wrong)
    assert KEY.hex() not in repr(cipher())
