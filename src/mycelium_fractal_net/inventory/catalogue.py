"""What is known of each algorithm: its kind and numbers, and what a quantum computer does to it.

Shor's algorithm finds the private key of a public one: RSA, and every curve, of whatever size.
Grover's halves at most the exponent of a search, with steps that have to be taken one after the
other: of a 128-bit key that leaves category 1 of NIST's five, which is what AES-128 defines, and of
256 bits nothing that could be done. Levels are NIST's categories of post-quantum strength, 0 for
none; bits are those of the best classical attack, SP 800-57 part 1 revision 5, tables 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Quantum(StrEnum):
    """What a large quantum computer does to an algorithm."""

    FALLS = "falls"
    WEAKENED = "weakened"
    HOLDS = "holds"
    BROKEN = "broken"


SHOR: Final = "Shor"
GROVER: Final = "Grover"
READ_LATER: Final = "recorded today, read later"
FORGED: Final = "forged from then on"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One algorithm. The words of ``primitive``, ``mode``, ``padding`` and ``functions`` are
    CycloneDX's; ``key_bits`` is the size of a key of ours, where it has one size.

    ``consequence`` says what it means that it falls, and ``instead`` what takes its place.
    """

    primitive: str
    functions: tuple[str, ...]
    oid: str | None = None
    parameter: str | None = None
    curve: str | None = None
    mode: str | None = None
    padding: str | None = None
    key_bits: int | None = None
    bits: int | None = None
    level: int | None = None
    quantum: Quantum = Quantum.HOLDS
    by: str | None = None
    consequence: str | None = None
    instead: str | None = None


_SIGNS: Final = ("keygen", "sign", "verify")
_AGREES: Final = ("keygen", "keyderive")
_SEALS: Final = ("keygen", "encrypt", "decrypt", "tag")
_ML_DSA: Final = "ML-DSA-65; requests wait for a name of it in RFC 9421"
_ML_KEM: Final = "X25519MLKEM768, of OpenSSL 3.5"
_TRANSPORT: Final = "not yet; keys over TLS with X25519MLKEM768"
_ISSUER: Final = "ML-DSA, once issuer and clients have it"


def _signature(bits: int, oid: str, curve: str, instead: str = _ML_DSA) -> Algorithm:
    return Algorithm(
        "signature",
        _SIGNS,
        oid,
        curve=curve,
        key_bits={128: 256, 192: 384, 256: 521}[bits],
        bits=bits,
        level=0,
        quantum=Quantum.FALLS,
        by=SHOR,
        consequence=FORGED,
        instead=instead,
    )


def _rsa(bits: int | None, modulus: int | None) -> Algorithm:
    return Algorithm(
        "signature",
        _SIGNS,
        "1.2.840.113549.1.1.1",
        None if modulus is None else str(modulus),
        key_bits=modulus,
        bits=bits,
        level=0,
        quantum=Quantum.FALLS,
        by=SHOR,
        consequence=FORGED,
        instead=_ISSUER,
    )


def _agreement(bits: int, curve: str | None, instead: str = _ML_KEM) -> Algorithm:
    return Algorithm(
        "key-agree",
        _AGREES,
        curve=curve,
        bits=bits,
        level=0,
        quantum=Quantum.FALLS,
        by=SHOR,
        consequence=READ_LATER,
        instead=instead,
    )


def _hybrid(parameter: str, level: int) -> Algorithm:
    return Algorithm("combiner", ("keygen", "encapsulate", "decapsulate"), None, parameter,
                     bits={3: 192, 5: 256}[level], level=level)  # fmt: skip


def _aes_gcm(bits: int, oid: str) -> Algorithm:
    found = {128: 1, 256: 5}[bits]
    return Algorithm(
        "ae",
        _SEALS,
        oid,
        str(bits),
        mode="gcm",
        key_bits=bits,
        bits=bits,
        level=found,
        quantum=Quantum.WEAKENED if bits == 128 else Quantum.HOLDS,
        by=GROVER,
        consequence="2^64 steps in a row, at least" if bits == 128 else None,
        instead="AES-256-GCM" if bits == 128 else None,
    )


def _hash(bits: int, oid: str, level: int) -> Algorithm:
    return Algorithm("hash", ("digest",), oid, str(bits), bits=bits // 2, level=level, by=GROVER)


CATALOGUE: Final[dict[str, Algorithm]] = {
    "AES-256-GCM": _aes_gcm(256, "2.16.840.1.101.3.4.1.46"),
    "AES-256-KW": Algorithm(  # of tokens
        "ae", ("encrypt", "decrypt"), "2.16.840.1.101.3.4.1.45", "256", mode="other",
        key_bits=256, bits=256, level=5, by=GROVER,
    ),
    "AES-256-KWP": Algorithm(
        "ae", ("encrypt", "decrypt"), "2.16.840.1.101.3.4.1.48", "256", mode="other",
        key_bits=256, bits=256, level=5, by=GROVER,
    ),
    "AES-256-SIV": Algorithm(  # RFC 5297: two keys of AES-256, one of them for CMAC
        "ae", ("keygen", "encrypt", "decrypt"), None, "256", mode="other",
        key_bits=512, bits=256, level=5, by=GROVER,
    ),
    "SHA-256": _hash(256, "2.16.840.1.101.3.4.2.1", 2),
    "SHA-384": _hash(384, "2.16.840.1.101.3.4.2.2", 4),
    "SHA-512": _hash(512, "2.16.840.1.101.3.4.2.3", 5),
    "HMAC-SHA-256": Algorithm(
        "mac", ("keygen", "tag", "verify"), "1.2.840.113549.2.9", "256",
        key_bits=256, bits=256, level=5, by=GROVER,
    ),
    "HKDF-SHA256": Algorithm(
        "kdf", ("keyderive",), "1.2.840.113549.1.9.16.3.28", bits=256, level=5, by=GROVER
    ),
    "HKDF-SHA384": Algorithm(
        "kdf", ("keyderive",), "1.2.840.113549.1.9.16.3.29", bits=256, level=5, by=GROVER
    ),
    "HKDF-SHA512": Algorithm(
        "kdf", ("keyderive",), "1.2.840.113549.1.9.16.3.30", bits=256, level=5, by=GROVER
    ),
    "PBKDF2-SHA256": Algorithm(  # as strong as the passphrase, which nobody here knows
        "kdf", ("keyderive",), "1.2.840.113549.1.5.12", by=GROVER
    ),
    "Ed25519": _signature(128, "1.3.101.112", "Ed25519"),
    "ECDSA-P256": _signature(128, "1.2.840.10045.4.3.2", "P-256"),
    "ECDSA-P384": _signature(192, "1.2.840.10045.4.3.3", "P-384"),
    "ML-DSA-65": Algorithm(
        "signature", _SIGNS, "2.16.840.1.101.3.4.3.18", "65", bits=192, level=3
    ),
    "HPKE-X25519": _agreement(128, "X25519", _TRANSPORT),
    "HPKE-P256": _agreement(128, "P-256", _TRANSPORT),
    "HPKE-P384": _agreement(192, "P-384", _TRANSPORT),
    "HPKE-MLKEM768-X25519": _hybrid("768", 3),
    "RSA-OAEP-256": Algorithm(
        "pke", ("keygen", "encrypt", "decrypt"), "1.2.840.113549.1.1.7", padding="oaep",
        bits=128, level=0, quantum=Quantum.FALLS, by=SHOR, consequence=READ_LATER,
        instead=_TRANSPORT,
    ),
    "LEGACY-XOR": Algorithm(
        "other", ("decrypt",), bits=0, level=0, quantum=Quantum.BROKEN,
        consequence="anybody reads it today", instead="AES-256-GCM, see docs/migration.md",
    ),
    # Of TLS and of certificates.
    "AES-128-GCM": _aes_gcm(128, "2.16.840.1.101.3.4.1.6"),
    "CHACHA20-POLY1305": Algorithm(
        "ae", _SEALS, "1.2.840.113549.1.9.16.3.18", "256", key_bits=256, bits=256, level=5,
        by=GROVER,
    ),
    "ECDH-X25519": _agreement(128, "X25519"),
    "ECDH-X448": _agreement(224, "X448"),
    "ECDH-P256": _agreement(128, "P-256"),
    "ECDH-P384": _agreement(192, "P-384"),
    "ECDH-P521": _agreement(256, "P-521"),
    "FFDHE": _agreement(112, None),
    "X25519MLKEM768": _hybrid("768", 3),
    "SecP256r1MLKEM768": _hybrid("768", 3),
    "SecP384r1MLKEM1024": _hybrid("1024", 5),
    "RSA-2048": _rsa(112, 2048),
    "RSA-3072": _rsa(128, 3072),
    "RSA-4096": _rsa(128, 4096),
    "RSA": _rsa(None, None),
    "ECDSA-P521": _signature(256, "1.2.840.10045.4.3.4", "P-521", _ISSUER),
    "OTHER": Algorithm("unknown", ("unknown",)),
}  # fmt: skip
"""Every algorithm that an inventory may name; that of a certificate may be OTHER."""
