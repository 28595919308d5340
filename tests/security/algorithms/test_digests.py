"""The hashes that name and compare things are those of FIPS 180-4."""

from __future__ import annotations

from mycelium_fractal_net.security.algorithms.digests import (
    SHA256_BYTES,
    running_sha256,
    running_sha512,
    sha256,
)

# NIST, "Examples with intermediate values": the message "abc".
ABC_256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
ABC_512 = (
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
)


def test_they_give_what_the_standard_gives() -> None:
    """At once and in pieces."""
    assert sha256(b"abc").hex() == ABC_256
    assert len(sha256(memoryview(b""))) == SHA256_BYTES
    for running, expected in ((running_sha256(), ABC_256), (running_sha512(), ABC_512)):
        running.update(b"a")
        running.update(bytearray(b"bc"))
        assert running.digest().hex() == expected
