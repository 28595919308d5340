"""Fuzz what reads sealed messages: as bytes, as a stream, in pieces and by position.

    python -m fuzz sealed -max_total_time=60 fuzz/corpus/sealed

The first byte of an input chooses how the message behind it is opened. A finding is an error
that is not one of ours, ways to open that disagree, or plaintext from a message that was not
sealed here: there are two keys, and an input opens only if it is one of the corpus's messages.
"""

from __future__ import annotations

import hashlib
import io

from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.sealed.layout import parse_header, plain_bytes, read_header
from mycelium_fractal_net.security.sealed.sealer import Sealer

KEY = hashlib.sha256(b"mycelium-fractal-net test key").digest()
HANDLE = bytes.fromhex("0123456789abcdef")
NAMED = Sealer.sealed(KEY, HANDLE)


def sealer_of(message: bytes) -> Sealer:
    header = parse_header(message)
    assert message.startswith(header.raw), "a finding: a header with two spellings"
    if not header.wrapped:
        return Sealer.sealed(KEY, header.handle)
    data_key = NAMED.unwrap_data_key(header.wrapped, b"lease 1")
    return Sealer.envelope(data_key, header.handle, header.wrapped)


def whole(message: bytes) -> bytes:
    return sealer_of(message).open(message, b"row 17")


def stream(message: bytes) -> bytes:
    sealer, written, reader = sealer_of(message), io.BytesIO(), io.BytesIO(message)
    read_header(reader)
    sealer.open_stream(reader, written, b"row 17")
    return written.getvalue()


def pieces(message: bytes) -> bytes:
    sealer = sealer_of(message)
    body = message[len(parse_header(message).raw) :]
    decryptor = sealer.decryptor(b"row 17")
    step = 1 + (message[-1] if message else 0)
    opened = b"".join(decryptor.update(body[at : at + step]) for at in range(0, len(body), step))
    return opened + decryptor.finalize()


def positions(message: bytes) -> bytes:
    sealer, reader = sealer_of(message), io.BytesIO(message)
    header = read_header(reader)
    opened = sealer.open_range(reader, b"row 17")
    assert opened.size == plain_bytes(len(message) - len(header.raw))
    return opened.read()


READERS = (whole, stream, pieces, positions)


def opened_by(way: int, message: bytes) -> bytes | None:
    try:
        return READERS[way](message)
    except DecryptionError:
        return None


def one_input(data: bytes) -> None:
    if not data:
        return
    message = data[1:]
    found = opened_by(data[0] % len(READERS), message)
    assert found == opened_by(0, message), "a finding: two ways to open disagree"


def seeds() -> dict[str, bytes]:
    """A well-formed message for every way to open one."""
    message = NAMED.seal(b"message", b"row 17")
    return {
        f"{reader.__name__}-seed": bytes([number]) + message
        for number, reader in enumerate(READERS)
    }
