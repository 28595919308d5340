"""Backups, read from docs/format.md alone by a stranger who has the file and the master key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mycelium_fractal_net.security.backup.layout import read_start
from mycelium_fractal_net.security.errors import DecryptionError

BACKUPS = json.loads(Path(__file__).with_name("backup_vectors.json").read_text())["backups"]


# What a stranger writes from the document ---------------------------------------------------


def open_body(key: bytes, context: bytes, body: bytes) -> bytes:
    """HKDF-Expand-SHA-512 and AES-256-GCM in chunks of 16 KiB."""
    salt, commitment, chunks = body[:24], body[24:56], body[56:]
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context
    first = hmac.digest(key, info + b"\x01", "sha512")
    derived = first + hmac.digest(key, first + info + b"\x02", "sha512")
    chunk_key, nonce = AESGCM(derived[:32]), int.from_bytes(derived[32:44], "big")
    assert hmac.compare_digest(derived[44:76], commitment)
    parts = [chunks[start : start + 16_400] for start in range(0, len(chunks), 16_400)]
    assert len(parts[-1]) < 16_400
    return b"".join(
        chunk_key.decrypt((nonce ^ number).to_bytes(12, "big"), part, None)
        for number, part in enumerate(parts)
    )


def lp(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def master_key(document: dict[str, Any], master_id: str, passphrase: str | None) -> bytes:
    """The 32 bytes of a master key, from the file beside the store."""
    entry = document["keys"][master_id]
    if entry["protection"] == "file":
        return base64.b64decode(entry["key"])
    assert passphrase is not None
    text = unicodedata.normalize("NFC", passphrase).encode()
    salt = base64.b64decode(entry["salt"])
    key = hashlib.pbkdf2_hmac("sha256", text, salt, entry["iterations"], 32)
    context = b"mycelium-fractal-net/master/v1" + bytes.fromhex(document["store_id"])
    return open_body(key, context + lp(master_id.encode()), base64.b64decode(entry["sealed"]))


def read_backup(
    content: bytes, document: dict[str, Any], passphrase: str | None
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """The header, and the rows of each table."""
    assert content[:4] == b"MFB\x01"
    end = 8 + int.from_bytes(content[4:8], "big")
    header = json.loads(content[8:end])
    assert header["store_id"] == document["store_id"]
    binding = b"".join(
        lp(part)
        for part in (
            b"mycelium-fractal-net/wrap/v1", bytes.fromhex(header["store_id"]), b"", b"backup",
            b"", b"AES-256-GCM", bytes(4), bytes.fromhex(header["backup_id"]),
        )
    )  # fmt: skip
    master = master_key(document, header["master_id"], passphrase)
    data_key = open_body(master, binding, base64.b64decode(header["wrapped_key"]))
    context = b"mycelium-fractal-net/backup/v1" + content[:end]
    plain = open_body(data_key, context, content[end:])
    tables: dict[str, list[Any]] = {}
    rows: list[Any] = []
    position = 0
    while True:
        size = int.from_bytes(plain[position : position + 4], "big")
        value = msgspec.msgpack.decode(plain[position + 4 : position + 4 + size])
        position += 4 + size
        if isinstance(value, list):
            rows.append(value)
        elif "table" in value:
            rows = tables[value["table"]] = []
        else:
            assert value["end"] == {name: len(found) for name, found in tables.items()}
            assert position == len(plain)
            return header, tables


@pytest.mark.parametrize("vector", BACKUPS, ids=["in the clear", "under a passphrase"])
def test_a_stranger_reads_a_backup(vector: dict[str, Any]) -> None:
    """With the master key's file and, where it is under one, the passphrase."""
    content = base64.b64decode(vector["backup"])
    header, tables = read_backup(content, vector["master_key_file"], vector["passphrase"])
    assert header["backup_id"] == vector["backup_id"]
    assert {name: len(rows) for name, rows in tables.items()} == vector["rows"]
    assert {row[0] for row in tables["keys"]} == {
        "default-encryption", "default-mac", "default-signing",
    }  # fmt: skip


def test_a_header_has_one_spelling() -> None:
    """A member twice, white space, another order or another base64 is no header of a backup."""
    content = base64.b64decode(BACKUPS[0]["backup"])
    end = 8 + int.from_bytes(content[4:8], "big")
    header = content[8:end]
    assert read_start(io.BytesIO(content))[1] == content[:end]
    members = json.loads(header)
    for other in (
        header.replace(b"{", b'{"schema":"0001",', 1),
        header.replace(b":", b": ", 1),
        json.dumps(members).encode(),
        json.dumps(dict(reversed(members.items())), separators=(",", ":")).encode(),
    ):
        with pytest.raises(DecryptionError):
            read_start(io.BytesIO(b"MFB\x01" + len(other).to_bytes(4, "big") + other))
