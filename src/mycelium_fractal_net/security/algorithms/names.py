"""The names of the algorithms, and what each is built on. No cryptography is imported here.

Ciphers, hashes and signatures are on one list, which a configuration may narrow to exactly
what it names. MACs, key derivation and the wrapping of keys have a list of their own, since the
plan's list knows none of them and nothing works without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable


CIPHERS_HASHES_SIGNATURES: Final = frozenset(
    {
        "AES-256-GCM",
        "AES-256-SIV",
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
        "HPKE-MLKEM768-X25519",
    }
)
MACS_AND_KDFS: Final = frozenset(
    {
        "HMAC-SHA-256",
        "PBKDF2-SHA256",
        "HKDF-SHA256",
        "HKDF-SHA384",
        "HKDF-SHA512",
        "RSA-OAEP-256",
        "AES-256-KWP",
    }
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
    "HPKE-MLKEM768-X25519": ("SHA-256", "HKDF-SHA256", "AES-256-GCM"),
    "RSA-OAEP-256": ("SHA-256",),  # RFC 8017 section 7.1, its MGF1 with the same hash
    "HMAC-SHA-256": ("SHA-256",),  # RFC 2104
    "PBKDF2-SHA256": ("SHA-256",),  # RFC 8018 section 5.2, with HMAC as its function
    "HKDF-SHA256": ("SHA-256",),  # RFC 5869
    "HKDF-SHA384": ("SHA-384",),
    "HKDF-SHA512": ("SHA-512",),
}
"""What must be allowed too; whatever is not listed stands alone. Whole and deepest first,
so that a refusal names the cause."""


class Approval(NamedTuple):
    """The standard that approves an algorithm, with its section, and what of it is used here."""

    standard: str
    use: str


IN_FIPS_MODE: Final = {
    "AES-256-GCM": Approval("SP 800-38D", "nonces of 96 random bits, section 8.2.2"),
    "SHA-256": Approval("FIPS 180-4", "section 6.2"),
    "SHA-384": Approval("FIPS 180-4", "section 6.5"),
    "SHA-512": Approval("FIPS 180-4", "section 6.4"),
    "ECDSA-P256": Approval("FIPS 186-5", "section 6, with SHA-256; the curve of SP 800-186"),
    "ECDSA-P384": Approval("FIPS 186-5", "section 6, with SHA-384; the curve of SP 800-186"),
    "HMAC-SHA-256": Approval("FIPS 198-1", "keys of 256 bits"),
    "PBKDF2-SHA256": Approval("SP 800-132", "section 5.3; salts of 128 bits and more"),
    "HKDF-SHA256": Approval("SP 800-56C", "section 5: extraction, then expansion"),
    "HKDF-SHA384": Approval("SP 800-56C", "section 5: extraction, then expansion"),
    "HKDF-SHA512": Approval("SP 800-108", "section 4.2, feedback mode: expansion alone"),
    "HPKE-P256": Approval("SP 800-56A", "section 6.2.2.2, one ephemeral key: RFC 9180"),
    "HPKE-P384": Approval("SP 800-56A", "section 6.2.2.2, one ephemeral key: RFC 9180"),
    "RSA-OAEP-256": Approval("SP 800-56B", "section 9, key transport; 3072 bits and more"),
    "AES-256-KWP": Approval("SP 800-38F", "section 6.3, key wrap with padding"),
}
"""What FIPS mode knows, and why it may: the plan's list, then MACs, KDFs and key wrapping."""

NOT_IN_FIPS_MODE: Final = {
    "Ed25519": (
        "Ed25519, which FIPS 186-5 approves, is not on the list of algorithms of FIPS mode; take"
        " ECDSA-P256 or ECDSA-P384"
    ),
    "ML-DSA-65": (
        "ML-DSA-65, which FIPS 204 approves, is not on the list of algorithms of FIPS mode; take"
        " ECDSA-P256 or ECDSA-P384"
    ),
    "AES-256-SIV": (
        "AES-SIV is not approved, and FIPS mode has no deterministic encryption; to find equal"
        " values take a key of type index"
    ),
    "HPKE-MLKEM768-X25519": (
        "the hybrid of ML-KEM-768, which FIPS 203 approves, and X25519 is not on the list of"
        " algorithms of FIPS mode; take HPKE-P256 or HPKE-P384"
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
