"""Fuzz what reads keys on their way: public keys to wrap for, wrapped keys, PKCS #8 of others.

    python -m fuzz key_transport -max_total_time=60 fuzz/corpus/key_transport

The first byte of an input chooses the reader. A finding is an error that is not one of ours, or a
key that is kept otherwise than it would be written.
"""

from __future__ import annotations

from functools import cache

from fuzz.running import Reader, chosen, seeds_of
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.sealed.key_transport import UnwrappingKey, WrappingKey
from mycelium_fractal_net.security.sealed.rsa_recipients import RsaRecipientKey

POLICY = Policy()
HPKE = UnwrappingKey.from_private_bytes("hpke", bytes([7]) * 32)
HPKE_P256 = UnwrappingKey.from_private_bytes("hpke-p256", bytes([7]) * 32)


@cache
def _rsa() -> RsaRecipientKey:
    return RsaRecipientKey.generate()


def public_key(data: bytes) -> None:
    key = WrappingKey.from_file(data)
    assert WrappingKey.from_file(key.pem()).der() == key.der(), "a finding: two public keys"


def hpke(data: bytes) -> None:
    HPKE.unwrap(data)


def hpke_p256(data: bytes) -> None:
    HPKE_P256.unwrap(data)


def rsa_aes(data: bytes) -> None:
    # Of a key that is made anew with each run nothing in a corpus unwraps; all else is reached.
    _rsa().unwrap(data)


def _pkcs8(algorithm: str, data: bytes) -> None:
    kept, public = POLICY.material_to_keep(algorithm, data)
    again = POLICY.material_to_transport(algorithm, kept)
    assert POLICY.material_to_keep(algorithm, again) == (kept, public), "a finding: two keys"


def ed25519(data: bytes) -> None:
    _pkcs8("Ed25519", data)


def p256(data: bytes) -> None:
    _pkcs8("ECDSA-P256", data)


def p384(data: bytes) -> None:
    _pkcs8("ECDSA-P384", data)


def ml_dsa(data: bytes) -> None:
    _pkcs8("ML-DSA-65", data)


READERS: tuple[Reader, ...] = (
    public_key,
    hpke,
    ed25519,
    p256,
    p384,
    ml_dsa,
    rsa_aes,
    hpke_p256,
)


one_input = chosen(READERS, MfnError)


def seeds() -> dict[str, bytes]:
    """Well-formed inputs for each reader: the corpus that mutations begin from."""
    contents = {
        public_key: HPKE.public.pem(),
        hpke: HPKE.public.wrap(bytes(32)),
        ed25519: POLICY.generate_signing_key("Ed25519").private_der(),
        p256: POLICY.generate_signing_key("ECDSA-P256").private_der(),
        p384: POLICY.generate_signing_key("ECDSA-P384").private_der(),
        ml_dsa: POLICY.generate_signing_key("ML-DSA-65").private_der(),
        hpke_p256: HPKE_P256.public.wrap(bytes(32)),
        rsa_aes: _rsa().public.wrap(bytes(32)),
    }
    return seeds_of(READERS, contents)
