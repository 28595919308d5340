"""What TLS is offered, by the OpenSSL of this Python: suites, and groups of key agreement."""

from __future__ import annotations

import contextlib
import ssl
import struct
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.inventory.records import CipherSuite
from mycelium_fractal_net.security.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Iterator

_SYMMETRIC: Final = {
    "aes-128-gcm": "AES-128-GCM",
    "aes-256-gcm": "AES-256-GCM",
    "chacha20-poly1305": "CHACHA20-POLY1305",
}
_GROUPS: Final = {  # https://www.iana.org/assignments/tls-parameters, "TLS Supported Groups"
    0x0017: "ECDH-P256",
    0x0018: "ECDH-P384",
    0x0019: "ECDH-P521",
    0x001D: "ECDH-X25519",
    0x001E: "ECDH-X448",
    0x11EB: "SecP256r1MLKEM768",
    0x11EC: "X25519MLKEM768",
    0x11ED: "SecP384r1MLKEM1024",
    **dict.fromkeys(range(0x0100, 0x0105), "FFDHE"),
}
_SUPPORTED_GROUPS: Final = 10  # the extension, RFC 8446 section 4.2.7


def suites(context: ssl.SSLContext, version: str) -> tuple[CipherSuite, ...]:
    """The suites of a context in TLS ``1.2`` or ``1.3``, in its order of preference."""
    return tuple(
        CipherSuite(
            each["name"],
            (f"0x{each['id'] >> 8 & 0xFF:02X}", f"0x{each['id'] & 0xFF:02X}"),
            (_SYMMETRIC.get(each["symmetric"], "OTHER"),),
        )
        for each in context.get_ciphers()
        if each["protocol"] == f"TLSv{version}"
    )


def groups() -> tuple[str, ...]:
    """What keys are agreed upon with, in order of preference: read from a ClientHello."""
    context = client_context()
    hello = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):  # it waits for an answer that nobody gives
        context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost").do_handshake()
    return tuple(dict.fromkeys(_GROUPS.get(each, "OTHER") for each in _groups_of(hello.read())))


def _groups_of(hello: bytes) -> Iterator[int]:
    """The numbers in the extension of a ClientHello (RFC 8446 section 4.1.2), in one record."""
    at = 5 + 4 + 2 + 32  # the heads of record and message, version, random
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2], "big")  # suites
    at += 1 + hello[at]  # compression
    at += 2
    while at < len(hello):
        kind, length = struct.unpack_from("!HH", hello, at)
        at += 4
        if kind == _SUPPORTED_GROUPS:
            yield from struct.unpack_from(f"!{(length - 2) // 2}H", hello, at + 2)
        at += length
