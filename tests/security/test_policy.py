"""The one door to the algorithms: it checks, and hands out what works."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from mycelium_fractal_net.security.errors import AlgorithmNotAllowedError, ConfigurationError
from mycelium_fractal_net.security.policy import (
    CIPHERS_HASHES_SIGNATURES,
    FORBIDDEN,
    MACS_AND_KDFS,
    Policy,
)

KEY, HANDLE = b"k" * 32, b"12345678"
ALL = Policy()
SIGNING = ALL.generate_signing_key("Ed25519")

Use = Callable[[Policy], object]
USES: dict[str, tuple[set[str], Use]] = {
    "raw_cipher": ({"AES-256-GCM"}, lambda p: p.raw_cipher(KEY).encrypt(b"")),
    "sealer": ({"AES-256-GCM", "SHA-512"}, lambda p: p.sealer(KEY, HANDLE).seal(b"")),
    "envelope_sealer": (
        {"AES-256-GCM", "SHA-512"},
        lambda p: p.envelope_sealer(KEY, HANDLE, bytes(104)).seal(b""),
    ),
    "bare_sealer": ({"AES-256-GCM", "SHA-512"}, lambda p: p.bare_sealer(KEY, b"c").seal(b"")),
    "material": ({"AES-256-GCM"}, lambda p: p.generate_key_material("AES-256-GCM")),
    "mac material": ({"HMAC-SHA-256"}, lambda p: p.generate_key_material("HMAC-SHA-256")),
    "passphrase": (
        {"PBKDF2-SHA256", "SHA-256"},
        lambda p: p.derive_from_passphrase(b"p", bytes(32), iterations=200_000),
    ),
    "generate": ({"ECDSA-P256"}, lambda p: p.generate_signing_key("ECDSA-P256").sign(b"")),
    "signing_key": ({"Ed25519"}, lambda p: p.signing_key("Ed25519", SIGNING.private_bytes())),
    "verifying_key": ({"Ed25519"}, lambda p: p.verifying_key(SIGNING.public.der())),
    "from_pem": ({"Ed25519"}, lambda p: p.verifying_key_from_pem(SIGNING.public.pem())),
    "prehash": ({"SHA-512"}, lambda p: p.prehash(io.BytesIO(b"data"))),
    "mac": ({"HMAC-SHA-256"}, lambda p: p.mac("HMAC-SHA-256", KEY).tag(b"")),
}


@pytest.mark.parametrize("name", USES)
def test_everything_is_handed_out_where_it_is_allowed(name: str) -> None:
    """Exactly what a use needs is enough for it."""
    needed, use = USES[name]
    policy = Policy(needed & CIPHERS_HASHES_SIGNATURES, needed & MACS_AND_KDFS)
    assert use(policy)


@pytest.mark.parametrize(("name", "without"), [(n, w) for n in USES for w in sorted(USES[n][0])])
def test_nothing_is_handed_out_without_what_it_needs(name: str, without: str) -> None:
    """Disallowing any one of the algorithms beneath a use refuses the use, by that name."""
    policy = Policy(disallowed=(without,))
    with pytest.raises(AlgorithmNotAllowedError, match=f"'{without}' is not allowed"):
        USES[name][1](policy)


@pytest.mark.parametrize("name", sorted(CIPHERS_HASHES_SIGNATURES | MACS_AND_KDFS))
def test_a_disallowed_name_wins_over_an_allowed_one(name: str) -> None:
    """Whichever list it stands in."""
    assert ALL.allows(name)
    assert not Policy(disallowed=(name,)).allows(name)


def test_the_allowed_list_is_exact() -> None:
    """The plan's FIPS list knows no Ed25519, and MACs and derivation have their own list."""
    plan = ("AES-256-GCM", "SHA-256", "SHA-384", "SHA-512", "ECDSA-P256", "ECDSA-P384")
    policy = Policy.from_settings(
        allowed_algorithms=plan, disallowed_algorithms=("MD5", "SHA-1", "RC4", "DES", "3DES")
    )
    policy.check(*plan, *MACS_AND_KDFS)
    with pytest.raises(AlgorithmNotAllowedError, match="Ed25519"):
        policy.check("Ed25519")
    narrow = Policy.from_settings(allowed_macs_and_kdfs=("HMAC-SHA-256",))
    assert not narrow.allows("HKDF-SHA256")


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_a_broken_algorithm_is_never_allowed(name: str) -> None:
    """Asking for it refuses to start; forbidding it is fine and changes nothing."""
    for setting in ("allowed_algorithms", "allowed_macs_and_kdfs"):
        with pytest.raises(ConfigurationError, match=f"{setting} names an algorithm that is brok"):
            Policy.from_settings(**{setting: (name,)})  # type: ignore[arg-type]
    assert not Policy(disallowed=(name,)).allows(name)
    with pytest.raises(AlgorithmNotAllowedError, match="is unknown"):
        ALL.check(name)


@pytest.mark.parametrize(
    "setting", ["allowed_algorithms", "allowed_macs_and_kdfs", "disallowed_algorithms"]
)
def test_an_unknown_name_is_refused_in_every_list(setting: str) -> None:
    """A misspelling does not silently allow or forbid nothing."""
    with pytest.raises(ConfigurationError, match=f"{setting} names what is not one of"):
        Policy.from_settings(**{setting: ("AES-256",)})  # type: ignore[arg-type]


def test_fips_mode_fails_closed() -> None:
    """A mode that is not there is refused, not ignored."""
    with pytest.raises(ConfigurationError, match="fips_mode"):
        Policy.from_settings(fips_mode=True)


def test_an_algorithm_serves_its_own_purpose_alone() -> None:
    """No MAC under a cipher's name, no symmetric key for a signature."""
    with pytest.raises(AlgorithmNotAllowedError):
        ALL.mac("AES-256-GCM", KEY)
    with pytest.raises(AlgorithmNotAllowedError):
        ALL.generate_key_material("Ed25519")
    with pytest.raises(AlgorithmNotAllowedError):
        ALL.generate_signing_key("AES-256-GCM")


def test_formats_are_read_whatever_is_allowed() -> None:
    """Parsing a header or a signature file uses no algorithm."""
    nothing = Policy((), ())
    header = nothing.parse_header(b"MFN\x01" + HANDLE)
    assert nothing.read_header(io.BytesIO(b"MFN\x01" + HANDLE)) == header
    file = nothing.encode_prehashed_signature(HANDLE, bytes(64))
    assert nothing.parse_signature_file(file).handle == HANDLE
    assert repr(nothing) == "Policy([])"
