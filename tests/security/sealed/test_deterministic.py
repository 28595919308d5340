"""Deterministic messages: AES-256-SIV as RFC 5297 has it, and every other one is refused."""

from __future__ import annotations

import functools
import hashlib
import hmac

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
    DeterministicKey,
)
from mycelium_fractal_net.security.sealed.layout import deterministic_handle

KEY = hashlib.sha512(b"mycelium-fractal-net test key").digest()
HANDLE = bytes.fromhex("0123456789abcdef")


@functools.cache
def cipher(associated_data: bytes = b"") -> DeterministicCipher:
    """Made when a test asks for it: FIPS mode refuses it."""
    return DeterministicKey(KEY, HANDLE).cipher(associated_data)


def _field_key(associated_data: bytes) -> bytes:
    """The one block of HKDF-Expand (RFC 5869 section 2.3) with SHA-512."""
    info = b"mycelium-fractal-net/deterministic/v1" + associated_data
    return hmac.digest(KEY, info + b"\x01", "sha512")


def _cmac(key: bytes, data: bytes) -> bytes:
    state = CMAC(algorithms.AES(key[:32]))
    state.update(data)
    return state.finalize()


def _doubled(block: bytes) -> bytes:
    number = int.from_bytes(block) << 1
    return ((number ^ 0x87) & ((1 << 128) - 1) if number >> 128 else number).to_bytes(16)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _siv(data: bytes, associated_data: bytes) -> bytes:
    """RFC 5297 section 2.4 and 2.6, with one component of associated data."""
    key = _field_key(associated_data)
    first = _xor(_doubled(_cmac(key, bytes(16))), _cmac(key, associated_data))
    if len(data) >= 16:
        last = data[:-16] + _xor(data[-16:], first)
    else:
        last = _xor(_doubled(first), data.ljust(16, b"\x80") if not data else _padded(data))
    siv = _cmac(key, last)
    counter = (int.from_bytes(siv) & ~((1 << 63) | (1 << 31))).to_bytes(16)
    encryptor = Cipher(algorithms.AES(key[32:]), modes.CTR(counter)).encryptor()
    return siv + encryptor.update(data)


def _padded(data: bytes) -> bytes:
    return (data + b"\x80").ljust(16, b"\0")


@given(st.binary(max_size=100), st.binary(max_size=40))
def test_a_message_is_what_the_standard_says(data: bytes, associated_data: bytes) -> None:
    """The header, then the SIV and the ciphertext of an implementation from the RFC's text."""
    data = data or b"\0"
    made = cipher(associated_data)
    message = made.seal(data)
    assert message == b"MFN\x03" + HANDLE + _siv(data, associated_data)
    assert made.open(message) == data


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000])
def test_equal_data_gives_equal_messages(size: int) -> None:
    """Under equal associated data; and 28 bytes more than the data, which may be empty."""
    data = bytes(size)
    assert cipher().seal(data) == cipher(b"").seal(bytearray(data))
    assert cipher().seal(data) != cipher(b"row 17").seal(data)
    assert len(cipher().seal(data)) == OVERHEAD_BYTES + size
    assert cipher().open(cipher().seal(data)) == data


def test_every_bit_of_a_message_counts() -> None:
    """The header's too, so that a message cannot pass for one of another form or version."""
    message = cipher(b"users").seal(b"alice@example.com")
    for bit in range(8 * len(message)):
        wrong = bytearray(message)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionError):
            cipher(b"users").open(wrong)
    for size in range(len(message)):
        with pytest.raises(DecryptionError):
            cipher(b"users").open(message[:size])
    for other in (b"", b"user", b"users "):
        with pytest.raises(DecryptionError):
            cipher(other).open(message)
    with pytest.raises(DecryptionError):
        DeterministicKey(KEY[::-1], HANDLE).cipher(b"users").open(message)


def test_associated_data_is_one_component() -> None:
    """The standard has lists of them, under which other lists are other messages."""
    several = AESSIV(_field_key(b"users")).encrypt(b"data", [b"us", b"ers"])
    with pytest.raises(DecryptionError):
        cipher(b"users").open(b"MFN\x03" + HANDLE + several)
    none = AESSIV(_field_key(b"")).encrypt(b"data", [])
    with pytest.raises(DecryptionError):
        cipher(b"").open(b"MFN\x03" + HANDLE + none)


def test_the_key_of_one_field_is_of_no_use_for_another() -> None:
    """It may be lent: its holder makes no message of another field, and opens none."""
    lent = DeterministicKey(KEY, HANDLE).field_key(b"users.country")
    assert lent == _field_key(b"users.country")
    made = DeterministicCipher(lent, HANDLE, b"users.country").seal(b"FI")
    assert cipher(b"users.country").open(made) == b"FI"
    other = cipher(b"users.town").seal(b"FI")
    for associated_data in (b"users.country", b"users.town"):
        with pytest.raises(DecryptionError):
            DeterministicCipher(lent, HANDLE, associated_data).open(other)


@pytest.mark.parametrize("size", [0, 32, 48, 63, 65, 128])
def test_keys_are_64_bytes(size: int) -> None:
    """The library would take two sizes more, of weaker ciphers."""
    with pytest.raises(InvalidKeyError, match=f"exactly {KEY_BYTES}"):
        DeterministicCipher(bytes(size), HANDLE)
    with pytest.raises(InvalidKeyError, match=f"exactly {KEY_BYTES}"):
        DeterministicKey(bytes(size), HANDLE)


def test_a_handle_is_read_of_these_messages_alone() -> None:
    """What is too short for one, or of another form, names nothing."""
    message = cipher().seal(b"")
    assert deterministic_handle(message) == HANDLE
    for wrong in (b"", message[:-1], b"MFN\x01" + message[4:], b"x" * 40):
        with pytest.raises(DecryptionError):
            deterministic_handle(wrong)
    assert KEY.hex() not in repr(cipher()) + repr(DeterministicKey(KEY, HANDLE))
