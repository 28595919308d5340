"""Wycheproof's vectors for c2sp.org/chunked-encryption with AES-256, in every way to open."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError
from mycelium_fractal_net.security.sealed.sealer import Sealer

from . import wycheproof


def _matches(test: dict[str, Any], plaintext: bytes) -> bool:
    digest = hashlib.sha512(plaintext).hexdigest()
    return bool(len(plaintext) == test["msgLength"] and digest == test["msgSha512"])


def _check_streaming(test: dict[str, Any], sealer: Sealer, message: bytes) -> None:
    """A stream fails at last, and what it wrote before is a beginning of what is authentic."""
    written = io.BytesIO()
    with pytest.raises(DecryptionError):
        sealer.open_stream(io.BytesIO(message), written)
    decryptor, pushed = sealer.decryptor(), b""
    with pytest.raises(DecryptionError):
        for start in range(0, len(message), 1_000):
            pushed += decryptor.update(message[start : start + 1_000])
        decryptor.finalize()
    with pytest.raises(DecryptionError):
        decryptor.update(b"")
    assert len(written.getvalue()) <= test.get("msgLength", 0)
    assert pushed.startswith(written.getvalue())
    if "PartialPlaintext" in test["flags"]:
        assert _matches(test, pushed)
    else:
        assert not pushed


def _check_ranges(test: dict[str, Any], sealer: Sealer, message: bytes) -> str:
    """Opening fails unless the final chunk is right, and reading all of it always fails."""
    if "ValidFinalChunk" not in test["flags"]:
        with pytest.raises(DecryptionError):
            sealer.open_range(io.BytesIO(message))
        return "range reader not opened"
    reader = sealer.open_range(io.BytesIO(message))
    with pytest.raises(DecryptionError):
        reader.read()
    with pytest.raises(DecryptionError):
        reader.read(1)
    return "range reader failed on reading"


def test_every_wycheproof_chunked_encryption_vector_is_answered_as_it_says(
    ran: Callable[[str, int], None],
) -> None:
    """In one call, as a stream, in pieces and by position, valid ones open and no other does."""
    answers: Counter[str] = Counter()
    count = 0
    for _, test in wycheproof("c2sp_chunked_encryption_aes_256_gcm"):
        count += 1
        key, context = bytes.fromhex(test["key"]), bytes.fromhex(test["ctx"])
        message = zlib.decompress(bytes.fromhex(test["ct"]))
        if len(key) != 32:
            assert "InvalidKeySize" in test["flags"]
            with pytest.raises(InvalidKeyError):
                Sealer.bare(key, context)
            answers["key size refused"] += 1
            continue
        sealer = Sealer.bare(key, context)
        if test["result"] == "valid":
            assert _matches(test, sealer.open(message)), test["tcId"]
            written = io.BytesIO()
            sealer.open_stream(io.BytesIO(message), written)
            assert _matches(test, written.getvalue()), test["tcId"]
            decryptor = sealer.decryptor()
            assert _matches(test, decryptor.update(message) + decryptor.finalize()), test["tcId"]
            reader = sealer.open_range(io.BytesIO(message))
            assert reader.size == test["msgLength"]
            assert _matches(test, reader.read()), test["tcId"]
            answers["valid"] += 1
        else:
            with pytest.raises(DecryptionError):
                sealer.open(message)
            _check_streaming(test, sealer, message)
            answers[_check_ranges(test, sealer, message)] += 1
    assert answers == {
        "valid": 10,
        "range reader not opened": 19,
        "range reader failed on reading": 4,
        "key size refused": 2,
    }
    ran("Wycheproof c2sp_chunked_encryption_aes_256_gcm", count)
