"""Make tests/vectors/sealed_vectors.json: messages with their keys, and messages with one fault.

    python scripts/make_sealed_vectors.py tests/vectors/sealed_vectors.json

Salts are random, so each run makes other vectors; the ones in the tree stay as they are, and
what they hold is checked by a decoder that is written from docs/format.md alone.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from mycelium_fractal_net.security.sealed.sealer import DataKey, Sealer

KEY = hashlib.sha256(b"mycelium-fractal-net test key").digest()
OTHER = hashlib.sha256(b"another key").digest()
HANDLE = bytes.fromhex("0123456789abcdef")
CHUNK, SEALED_CHUNK, HEAD = 16_384, 16_400, 12 + 56
AD = b"row 17"


def plaintext(size: int) -> bytes:
    """The first bytes of SHA-256("0") || SHA-256("1") || …, so that vectors can stay short."""
    blocks = (hashlib.sha256(str(n).encode()).digest() for n in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def positive() -> list[dict[str, Any]]:
    """Messages of both forms, at the sizes where something changes."""
    sealer = Sealer.sealed(KEY, HANDLE)
    found = []
    for size, data in (
        (0, b""),
        (1, AD),
        (100, AD),
        (CHUNK - 1, b""),
        (CHUNK, AD),
        (CHUNK + 1, AD),
    ):
        message = sealer.seal(plaintext(size), data)
        found.append(_vector(f"sealed, {size} bytes", message, size, data))
    data_key: DataKey = sealer.wrap_data_key(b"lease 1")
    for size in (0, 100, CHUNK + 1):
        message = data_key.sealer.seal(plaintext(size), AD)
        found.append(_vector(f"envelope, {size} bytes", message, size, AD, data_key_ad=b"lease 1"))
    return found


def negative() -> list[dict[str, Any]]:
    """One fault each. All of them fail alike; `fault` says what a decoder must have noticed."""
    sealer = Sealer.sealed(KEY, HANDLE)
    short, long = sealer.seal(plaintext(100), AD), sealer.seal(plaintext(2 * CHUNK + 9), AD)
    whole = sealer.seal(plaintext(CHUNK), AD)
    data_key = sealer.wrap_data_key(b"lease 1")
    envelope = data_key.sealer.seal(plaintext(100), AD)
    first, second = HEAD + SEALED_CHUNK, HEAD + 2 * SEALED_CHUNK
    swapped = long[:HEAD] + long[first:second] + long[HEAD:first] + long[second:]
    repeated = long[:first] + long[HEAD:first] + long[second:]
    faults: list[tuple[str, bytes, bytes]] = [
        ("no magic", b"MFM" + short[3:], AD),
        ("unknown form", b"MFN\x03" + short[4:], AD),
        ("cut in the handle", short[:8], AD),
        ("another handle", short[:4] + HANDLE[::-1] + short[12:], AD),
        ("cut in the salt", short[:20], AD),
        ("changed salt", _flipped(short, 12), AD),
        ("changed commitment", _flipped(short, 36), AD),
        ("cut behind the commitment", short[:HEAD], AD),
        ("changed ciphertext", _flipped(short, HEAD), AD),
        ("changed tag", _flipped(short, len(short) - 1), AD),
        ("cut in the tag", short[:-1], AD),
        ("other associated data", short, b"row 18"),
        ("no associated data", short, b""),
        ("missing final chunk", whole[: HEAD + SEALED_CHUNK], AD),
        ("cut at a chunk", long[:second], AD),
        ("swapped chunks", swapped, AD),
        ("repeated chunk", repeated, AD),
        ("missing first chunk", long[:HEAD] + long[first:], AD),
        ("bytes behind the end", short + b"\0", AD),
        ("sealed under another key", Sealer.sealed(OTHER, HANDLE).seal(plaintext(100), AD), AD),
        ("a wrapped data key as a message", b"MFN\x01" + HANDLE + data_key.wrapped, AD),
        ("envelope: changed wrapped data key", _flipped(envelope, 70), AD),
        ("envelope: another handle", envelope[:4] + HANDLE[::-1] + envelope[12:], AD),
        ("envelope: cut in the wrapped data key", envelope[:100], AD),
        ("envelope: other associated data", envelope, b"row 18"),
        ("envelope as sealed", b"MFN\x01" + envelope[4:], AD),
    ]
    found = [
        {"fault": fault, "message": message.hex(), "associated_data": data.hex(),
         "data_key_associated_data": b"lease 1".hex()}
        for fault, message, data in faults
    ]  # fmt: skip
    found.append(
        {
            "fault": "envelope: other associated data of the data key",
            "message": envelope.hex(),
            "associated_data": AD.hex(),
            "data_key_associated_data": b"lease 2".hex(),
        }
    )
    return found


def _vector(
    comment: str, message: bytes, size: int, data: bytes, data_key_ad: bytes = b""
) -> dict[str, Any]:
    return {
        "comment": comment,
        "message": message.hex(),
        "associated_data": data.hex(),
        "data_key_associated_data": data_key_ad.hex(),
        "plaintext_bytes": size,
        "plaintext_sha256": hashlib.sha256(plaintext(size)).hexdigest(),
    }


def _flipped(message: bytes, position: int) -> bytes:
    return message[:position] + bytes([message[position] ^ 1]) + message[position + 1 :]


def main() -> None:
    """Write the file that is named."""
    document = {
        "format": "docs/format.md",
        "key": KEY.hex(),
        "handle": HANDLE.hex(),
        "valid": positive(),
        "invalid": negative(),
    }
    Path(sys.argv[1]).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
