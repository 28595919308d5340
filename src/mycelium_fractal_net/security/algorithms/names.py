"""The names of the algorithms, and what each is built on. No cryptography is imported here.

Ciphers, hashes and signatures are on one list, which a configuration may narrow to exactly
what it names. MACs and key derivation have a list of their own, since the plan's list knows
none of them and nothing works without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable


CIPHERS_HASHES_SIGNATURES: Final = frozenset(
    {
        "AES-256-GCM",
        "SHA-256",
        "SHA-384",
        "SHA-512",
        "Ed25519",
        "ECDSA-P256",
        "ECDSA-P384",
        "ML-DSA-65",
        "HPKE-X25519",
        "HPKE-P256",
        "HPKE-P384",
        "RSA-OAEP-256",
        "AES-256-KWP",
    }
)
MACS_AND_KDFS: Final = frozenset(
    {"HMAC-SHA-256", "PBKDF2-SHA256", "HKDF-SHA256", "HKDF-SHA384", "HKDF-SHA512"}
)
KNOWN: Final = CIPHERS_HASHES_SIGNATURES | MACS_AND_KDFS

ED25519_MESSAGE_BYTES: Final = 4096
"""Longest message that an external Ed25519 key signs: AWS KMS takes no longer one."""

# The plan's disallowed_algorithms. None of them is here to be used; they stay known by name so
# that a configuration which asks for one is refused for what it is.
FORBIDDEN: Final = frozenset({"MD5", "SHA-1", "RC4", "DES", "3DES"})

BUILT_ON: Final[dict[str, tuple[str, ...]]] = {
    "Ed25519": ("SHA-512",),  # RFC 8032 section 5.1
    "ECDSA-P256": ("SHA-256",),  # how signatures.py pairs them: RFC 7518 section 3.4
    "ECDSA-P384": ("SHA-384",),
    "HPKE-X25519": ("SHA-256", "HKDF-SHA256", "AES-256-GCM"),  # RFC 9180 section 7
    "HPKE-P256": ("SHA-256", "HKDF-SHA256", "AES-256-GCM"),
    "HPKE-P384": ("SHA-384", "HKDF-SHA384", "AES-256-GCM"),
    "RSA-OAEP-256": ("SHA-256",),  # RFC 8017 section 7.1, its MGF1 with the same hash
    "HMAC-SHA-256": ("SHA-256",),  # RFC 2104
    "PBKDF2-SHA256": ("SHA-256",),  # RFC 8018 section 5.2, with HMAC as its function
    "HKDF-SHA256": ("SHA-256",),  # RFC 5869
    "HKDF-SHA384": ("SHA-384",),
    "HKDF-SHA512": ("SHA-512",),
}
"""What must be allowed too; whatever is not listed stands alone. Whole and deepest first,
so that a refusal names the cause."""

IN_FIPS_MODE: Final = {
    "AES-256-GCM": "SP 800-38D",
    "SHA-256": "FIPS 180-4",
    "SHA-384": "FIPS 180-4",
    "SHA-512": "FIPS 180-4",
    "ECDSA-P256": "FIPS 186-5",
    "ECDSA-P384": "FIPS 186-5",
    "HMAC-SHA-256": "FIPS 198-1",
    "PBKDF2-SHA256": "SP 800-132",
    "HKDF-SHA256": "SP 800-56C",
    "HKDF-SHA384": "SP 800-56C",
    "HKDF-SHA512": "SP 800-56C",
    "HPKE-P256": "SP 800-56A, SP 800-56C, SP 800-38D",
    "HPKE-P384": "SP 800-56A, SP 800-56C, SP 800-38D",
    "RSA-OAEP-256": "SP 800-56B",
    "AES-256-KWP": "SP 800-38F",
}
"""What FIPS mode knows, with the standard that approves it: the plan's list, MACs and KDFs."""

NOT_IN_FIPS_MODE: Final = {
    "Ed25519": (
        "Ed25519, which FIPS 186-5 approves, is not on the list of algorithms of FIPS mode; take"
        " ECDSA-P256 or ECDSA-P384"
    ),
    "ML-DSA-65": (
        "ML-DSA-65, which FIPS 204 approves, is not on the list of algorithms of FIPS mode; take"
        " ECDSA-P256 or ECDSA-P384"
    ),
    "HPKE-X25519": (
        "X25519 is not approved by SP 800-56A, and FIPS mode has no HPKE with it; take HPKE-P256 or"
        " HPKE-P384"
    ),
}
"""What it refuses of what there is, and what to take instead."""

SEALING: Final = ("AES-256-GCM", "SHA-512", "HKDF-SHA512")
"""What the sealed message is made of: c2sp.org/chunked-encryption, Cobblestone-256."""


def in_force(
    allowed: Iterable[str], allowed_macs_and_kdfs: Iterable[str], disallowed: Iterable[str]
) -> frozenset[str]:
    """What may be used: on its list, not disallowed, and so is all that it is built on.

    Raises :class:`ConfigurationError` for a name that no release knows or ever allows.
    """
    exact = _checked("allowed_algorithms", allowed, CIPHERS_HASHES_SIGNATURES)
    derived = _checked("allowed_macs_and_kdfs", allowed_macs_and_kdfs, MACS_AND_KDFS)
    refused = _checked("disallowed_algorithms", disallowed, KNOWN | FORBIDDEN)
    named = (exact | derived) - refused
    return frozenset(name for name in named if named.issuperset(BUILT_ON.get(name, ())))


def _checked(setting: str, names: Iterable[str], known: frozenset[str]) -> frozenset[str]:
    wanted = frozenset(names)
    if setting != "disallowed_algorithms" and wanted & FORBIDDEN:
        broken = ", ".join(sorted(wanted & FORBIDDEN))
        raise ConfigurationError(f"security.{setting}: {broken} is broken and never allowed")
    if not wanted <= known:
        raise ConfigurationError(
            f"security.{setting} names what is not one of {', '.join(sorted(known))}"
        )
    return wanted
