"""NIST CAVP vectors for SHA-256, SHA-384 and SHA-512, from ``cryptography-vectors``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.algorithms.digests import (
    running_sha256,
    running_sha512,
    sha256,
    sha384,
)

from . import response_file

if TYPE_CHECKING:
    from collections.abc import Callable


def _sha512(data: bytes) -> bytes:
    running = running_sha512()
    running.update(data)
    return running.digest()


def _in_two(data: bytes) -> bytes:
    running = running_sha256()
    running.update(data[:7])
    running.update(data[7:])
    return running.digest()


@pytest.mark.parametrize(
    ("name", "digest", "expected"),
    [
        ("SHA256", sha256, 129),
        ("SHA256", _in_two, 129),
        ("SHA384", sha384, 257),
        ("SHA512", _sha512, 257),
    ],
    ids=["SHA256", "SHA256 in two", "SHA384", "SHA512"],
)
def test_every_cavp_message_has_its_digest(
    name: str, digest: Callable[[bytes], bytes], expected: int, ran: Callable[[str, int], None]
) -> None:
    """ShortMsg.rsp and LongMsg.rsp, of whole bytes; an empty message is written as 00."""
    count = 0
    for kind in ("ShortMsg", "LongMsg"):
        for record in response_file("hashes", "SHA2", f"{name}{kind}.rsp"):
            if "md" not in record:
                continue
            message = bytes.fromhex(record["msg"])[: int(record["len"]) // 8]
            assert digest(message).hex() == record["md"]
            count += 1
    assert count == expected
    ran(f"NIST CAVP {name}", count)
