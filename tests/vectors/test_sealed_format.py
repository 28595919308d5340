"""Our own vectors, opened by the product and by a decoder written from docs/format.md alone."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.sealed.layout import parse_header, read_header
from mycelium_fractal_net.security.sealed.sealer import Sealer

VECTORS = json.loads(Path(__file__).with_name("sealed_vectors.json").read_text())
KEY, HANDLE = bytes.fromhex(VECTORS["key"]), bytes.fromhex(VECTORS["handle"])
FORMAT = Path(__file__).parents[2] / "docs" / "format.md"


class Refused(Exception):
    """What the decoder from the document raises, whatever is wrong."""


def body(key: bytes, context: bytes, data: bytes) -> bytes:
    """Section "The body": salt, commitment, chunks."""
    salt, commitment, chunks = data[:24], data[24:56], data[56:]
    if len(commitment) < 32:
        raise Refused
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + salt + context
    derived = HKDFExpand(SHA512(), 76, info).derive(key)
    chunk_key, base_nonce = derived[:32], derived[32:44]
    if not hmac.compare_digest(derived[44:], commitment):
        raise Refused
    plaintext = b""
    for number in range(len(chunks) // 16_400 + 1):
        nonce = int.from_bytes(base_nonce, "big") ^ number
        sealed = chunks[number * 16_400 : (number + 1) * 16_400]
        try:
            plaintext += AESGCM(chunk_key).decrypt(nonce.to_bytes(12, "big"), sealed, None)
        except (InvalidTag, ValueError):
            raise Refused from None
    return plaintext


def decode(key: bytes, handle: bytes, message: bytes, data: bytes, data_key_data: bytes) -> bytes:
    """Section "The message"."""
    header = message[:12]
    if header == b"MFN\x01" + handle:
        return body(key, b"mycelium-fractal-net/sealed/v1" + header + data, message[12:])
    if header == b"MFN\x02" + handle and len(message) >= 116:
        context = b"mycelium-fractal-net/datakey/v1" + header + data_key_data
        data_key = body(key, context, message[12:116])
        context = b"mycelium-fractal-net/envelope/v1" + message[:116] + data
        return body(data_key, context, message[116:])
    raise Refused


def product(message: bytes, data: bytes, data_key_data: bytes) -> bytes:
    """The message through the product, as a keyring with that one key opens it."""
    header = parse_header(message)
    named = Sealer.sealed(KEY, HANDLE)
    if header.handle != HANDLE:
        raise DecryptionError
    if not header.wrapped:
        return named.open(message, data)
    data_key = named.unwrap_data_key(header.wrapped, data_key_data)
    return Sealer.envelope(data_key, HANDLE, header.wrapped).open(message, data)


def parts(vector: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    names = ("message", "associated_data", "data_key_associated_data")
    message, data, data_key_data = (bytes.fromhex(vector[name]) for name in names)
    return message, data, data_key_data


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda vector: vector["comment"])
def test_a_valid_vector_opens_in_the_product_and_by_the_document(vector: dict[str, Any]) -> None:
    """Both give the plaintext whose size and hash are written down."""
    for plaintext in (product(*parts(vector)), decode(KEY, HANDLE, *parts(vector))):
        assert len(plaintext) == vector["plaintext_bytes"]
        assert hashlib.sha256(plaintext).hexdigest() == vector["plaintext_sha256"]


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["fault"])
def test_an_invalid_vector_opens_nowhere(vector: dict[str, Any]) -> None:
    """One fault each, one error, as bytes, as a stream and by position."""
    message, data, data_key_data = parts(vector)
    with pytest.raises(DecryptionError):
        product(message, data, data_key_data)
    with pytest.raises(Refused):
        decode(KEY, HANDLE, message, data, data_key_data)
    if message[:12] == b"MFN\x01" + HANDLE:
        stream = io.BytesIO(message)
        read_header(stream)
        with pytest.raises(DecryptionError):
            Sealer.sealed(KEY, HANDLE).open_stream(stream, io.BytesIO(), data)
        stream.seek(12)
        with pytest.raises(DecryptionError):
            Sealer.sealed(KEY, HANDLE).open_range(stream, data).read()


def test_every_fault_has_its_own_vector() -> None:
    """No fault is named twice, and the document lists each."""
    faults = [vector["fault"] for vector in VECTORS["invalid"]]
    assert len(set(faults)) == len(faults) == 27
    text = FORMAT.read_text()
    assert [fault for fault in faults if f"`{fault}`" not in text] == []


def test_the_worked_example_of_the_document_is_right() -> None:
    """The bytes that the document spells out are those of the first vector of one byte."""
    text = FORMAT.read_text().replace(" ", "").replace("\n", "").replace("|", "").replace("`", "")
    vector = next(v for v in VECTORS["valid"] if v["comment"] == "sealed, 1 bytes")
    message = bytes.fromhex(vector["message"])
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + message[12:36]
    info += b"mycelium-fractal-net/sealed/v1" + message[:12] + AD_OF_EXAMPLE
    derived = HKDFExpand(SHA512(), 76, info).derive(KEY).hex()
    for shown in (KEY.hex(), message[12:36].hex(), derived[:64], derived[64:88], derived[88:]):
        assert shown in text
    assert message[68:].hex() in text


AD_OF_EXAMPLE = b"row 17"
