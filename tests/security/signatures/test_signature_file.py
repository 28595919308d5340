"""The ``.sig`` file: what it says, and that nothing else is one."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.signatures.signature_file import (
    MAX_FILE_BYTES,
    SignatureFile,
    SignatureMode,
    encode_signature_file,
    parse_signature_file,
)
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from mycelium_fractal_net.security.signatures.verifying_key import MAX_PURE_BYTES

HANDLE = bytes(range(8))
KEY = SigningKey.generate()


def test_the_bytes_are_those_of_the_format() -> None:
    """Magic, handle, mode and signature, as docs/format.md has them."""
    encoded = encode_signature_file(HANDLE, SignatureMode.PREHASH, b"signature")
    assert encoded == b"MFS\x01" + HANDLE + b"\x01" + b"signature"
    assert parse_signature_file(encoded) == SignatureFile(
        HANDLE, SignatureMode.PREHASH, b"signature"
    )


@given(
    st.binary(min_size=8, max_size=8),
    st.sampled_from(SignatureMode),
    st.binary(min_size=1, max_size=8192),
)
def test_what_is_encoded_parses_to_its_parts(
    handle: bytes, mode: SignatureMode, signature: bytes
) -> None:
    """For every handle, mode and signature that there can be."""
    encoded = encode_signature_file(handle, mode, signature)
    assert parse_signature_file(encoded) == (handle, mode, signature)
    assert parse_signature_file(memoryview(encoded)) == (handle, mode, signature)


@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"MFS\x01" + tail))
def test_what_parses_encodes_to_the_same_bytes(data: bytes) -> None:
    """Nothing has two spellings."""
    try:
        parsed = parse_signature_file(data)
    except InvalidSignatureError:
        return
    assert encode_signature_file(*parsed) == data


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"MFS\x01",
        b"MFS\x01" + HANDLE,
        b"MFS\x01" + HANDLE + b"\0",
        b"MFS\x01" + HANDLE + b"\2s",
        b"MFS\x01" + HANDLE + b"\xffs",
        b"MFS\x02" + HANDLE + b"\0s",
        b"MFN\x01" + HANDLE + b"\0s",
        b"mfs\x01" + HANDLE + b"\0s",
        b"\xef\xbb\xbfMFS\x01" + HANDLE + b"\0s",
        b"MFS\x01" + HANDLE + b"\0" + bytes(8193),
    ],
)
def test_what_is_no_signature_file_is_refused(wrong: bytes) -> None:
    """Cut before the signature, unknown mode, version or magic, and over 8192 bytes of it."""
    with pytest.raises(InvalidSignatureError):
        parse_signature_file(wrong)


def test_the_longest_file_parses() -> None:
    """8192 bytes of signature, and that is what MAX_FILE_BYTES says."""
    encoded = encode_signature_file(HANDLE, SignatureMode.PURE, bytes(8192))
    assert len(encoded) == MAX_FILE_BYTES
    assert len(parse_signature_file(encoded).signature) == 8192


@pytest.mark.parametrize(
    ("handle", "signature"),
    [(b"", b"s"), (bytes(7), b"s"), (bytes(9), b"s"), (HANDLE, b""), (HANDLE, bytes(8193))],
)
def test_parts_of_the_wrong_size_are_not_encoded(handle: bytes, signature: bytes) -> None:
    """What could not be parsed again is never written."""
    with pytest.raises(InvalidInputError):
        encode_signature_file(handle, SignatureMode.PURE, signature)


@pytest.mark.parametrize("mode", SignatureMode)
def test_a_file_verifies_its_data_in_its_mode(mode: SignatureMode) -> None:
    """Pure and pre-hashed, each with the signature made for it and for no other data."""
    data = b"data" * 200_000
    pure = mode is SignatureMode.PURE
    signature = KEY.sign(data) if pure else KEY.sign_stream(io.BytesIO(data))
    parsed = parse_signature_file(encode_signature_file(HANDLE, mode, signature))
    KEY.public.verify_file(io.BytesIO(data), parsed)
    with pytest.raises(InvalidSignatureError):
        KEY.public.verify_file(io.BytesIO(data + b"\0"), parsed)
    with pytest.raises(InvalidSignatureError):
        SigningKey.generate().public.verify_file(io.BytesIO(data), parsed)


def test_a_file_whose_mode_was_changed_is_refused() -> None:
    """A signature of the data is none of its hash, whatever the file says."""
    for made, said in ((0, 1), (1, 0)):
        signature = KEY.sign_stream(io.BytesIO(b"data")) if made else KEY.sign(b"data")
        parsed = SignatureFile(HANDLE, SignatureMode(said), signature)
        with pytest.raises(InvalidSignatureError):
            KEY.public.verify_file(io.BytesIO(b"data"), parsed)


def test_endless_data_under_a_pure_signature_is_given_up() -> None:
    """A pure signature needs all data in memory; a hostile file cannot make it all of it."""

    class Endless:
        given = 0

        def read(self, size: int, /) -> bytes:
            self.given += size
            return bytes(size)

    endless = Endless()
    with pytest.raises(InvalidInputError, match="64 MiB"):
        KEY.public.verify_file(endless, SignatureFile(HANDLE, SignatureMode.PURE, bytes(64)))
    assert endless.given < MAX_PURE_BYTES + (1 << 20)
