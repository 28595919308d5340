"""Fuzz what reads the answers of Vault: their heads and where their bodies end (RFC 9112).

    python -m fuzz vault_answers -max_total_time=60 fuzz/corpus/vault_answers

The second byte of an input says in how large parts it comes. A finding is an error that is not one
of ours, an answer that is read otherwise when it comes in other parts, or one that is too long.
"""

from __future__ import annotations

from fuzz.running import Reader
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.key_providers.vault.messages import (
    AnswerRead,
    Incoming,
    read_answer,
)

_MOST = 64
_SEEDS = {
    "with_a_length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    "in_chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2;a=b\r\n{}\r\n0\r\nA: b\r\n\r\n",
    "to_the_end": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 Not Found\r\nA: b\r\n\r\n{}",
}


def _read(data: bytes, size: int) -> AnswerRead | str:
    left = (data[start : start + size] for start in range(0, len(data), size))
    try:
        return read_answer(Incoming(lambda: next(left, b"")), _MOST)
    except MfnError as error:
        return str(error)


def answer(data: bytes) -> None:
    found = _read(data[1:], 1 + data[0])
    if isinstance(found, AnswerRead):
        assert len(found.body) <= _MOST, "a finding: a body that is too long"
        assert 200 <= found.status < 600, "a finding: a status that is none"
    assert _read(data[1:], 1) == found, "a finding: another answer, byte by byte"


READERS: tuple[Reader, ...] = (answer,)


def one_input(data: bytes) -> None:
    """Run one input; raises only for a finding."""
    if len(data) > 1:
        READERS[data[0] % len(READERS)](data[1:])


def seeds() -> dict[str, bytes]:
    """Well-formed answers, by their names in the corpus."""
    return {name: bytes([0, 6]) + content for name, content in _SEEDS.items()}
