"""Signing keys that are made on a token and never leave it.

ECDSA on P-256 and P-384 (``CKM_ECDSA``, of a hash that is made here; the token's ``r || s`` becomes
DER), and Ed25519 (``CKM_EDDSA``) where the token has it. The private key is sensitive, is never
extractable, and signs alone. Both keys of a pair have the label :func:`.signing_key_name` and a
random CKA_ID; a reference is both.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.algorithms.digests import sha256, sha384
from mycelium_fractal_net.security.errors import CustodianDeniedError, CustodianUnavailableError
from mycelium_fractal_net.security.key_providers.custodian import (
    SigningKeyReference,
    signing_key_name,
    signing_key_prefix,
)
from mycelium_fractal_net.security.key_providers.pkcs11 import cryptoki

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.custodian import Binding
    from mycelium_fractal_net.security.key_providers.pkcs11.session import Attributes, Session

_ID_BYTES: Final = 16
_REFERENCE: Final = re.compile(r"pkcs11:(mfn-signing-[0-9a-f-]{1,128}):([0-9a-f]{32})")
_OCTET_STRING, _INTEGER, _SEQUENCE = b"\x04", b"\x02", b"\x30"  # DER, X.690 section 8
_LONG_FORM: Final = 0x80


class _Scheme(NamedTuple):
    """How a token makes and uses keys of one algorithm; sizes in bytes."""

    generate: int
    sign: int
    key_type: int
    parameters: bytes  # CKA_EC_PARAMS: the curve, DER
    spki: bytes  # what stands before the point in a SubjectPublicKeyInfo
    point_bytes: int
    signature_bytes: int
    digest: Callable[[bytes], bytes] | None


_SCHEMES: Final = {
    "Ed25519": _Scheme(
        cryptoki.CKM_EC_EDWARDS_KEY_PAIR_GEN,
        cryptoki.CKM_EDDSA,
        cryptoki.CKK_EC_EDWARDS,
        b"\x13\x0cedwards25519",  # PrintableString (PKCS #11 v3.0 section 2.3.10)
        bytes.fromhex("302a300506032b6570032100"),  # RFC 8410 section 4
        32,
        64,
        None,
    ),
    "ECDSA-P256": _Scheme(
        cryptoki.CKM_EC_KEY_PAIR_GEN,
        cryptoki.CKM_ECDSA,
        cryptoki.CKK_EC,
        bytes.fromhex("06082a8648ce3d030107"),  # secp256r1 (RFC 5480 section 2.1.1.1)
        bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"),
        65,
        64,
        sha256,
    ),
    "ECDSA-P384": _Scheme(
        cryptoki.CKM_EC_KEY_PAIR_GEN,
        cryptoki.CKM_ECDSA,
        cryptoki.CKK_EC,
        bytes.fromhex("06052b81040022"),  # secp384r1
        bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200"),
        97,
        96,
        sha384,
    ),
}


def signing_algorithms(mechanisms: frozenset[int]) -> frozenset[str]:
    """What a token with those mechanisms makes keys for."""
    return frozenset(
        name for name, scheme in _SCHEMES.items() if {scheme.generate, scheme.sign} <= mechanisms
    )


def create(session: Session, algorithm: str, binding: Binding) -> SigningKeyReference:
    """Make a pair."""
    scheme = _SCHEMES[algorithm]
    name, key_id = signing_key_name(binding), secrets.token_bytes(_ID_BYTES)
    both: Attributes = {
        cryptoki.CKA_TOKEN: True,
        cryptoki.CKA_LABEL: name.encode(),
        cryptoki.CKA_ID: key_id,
        cryptoki.CKA_KEY_TYPE: scheme.key_type,
        cryptoki.CKA_DERIVE: False,
    }
    public = session.generate_pair(
        scheme.generate,
        {
            **both,
            cryptoki.CKA_CLASS: cryptoki.CKO_PUBLIC_KEY,
            cryptoki.CKA_PRIVATE: False,
            cryptoki.CKA_VERIFY: True,
            cryptoki.CKA_ENCRYPT: False,
            cryptoki.CKA_WRAP: False,
            cryptoki.CKA_EC_PARAMS: scheme.parameters,
        },
        {
            **both,
            cryptoki.CKA_CLASS: cryptoki.CKO_PRIVATE_KEY,
            cryptoki.CKA_PRIVATE: True,
            cryptoki.CKA_SENSITIVE: True,
            cryptoki.CKA_EXTRACTABLE: False,
            cryptoki.CKA_SIGN: True,
            cryptoki.CKA_DECRYPT: False,
            cryptoki.CKA_UNWRAP: False,
        },
    )
    return SigningKeyReference(f"pkcs11:{name}:{key_id.hex()}", _public_key(session, public))


def sign(session: Session, reference: str, algorithm: str, message: bytes) -> bytes:
    """The signature: DER for ECDSA, 64 bytes for Ed25519."""
    scheme = _SCHEMES[algorithm]
    key = _the_one(session, reference, cryptoki.CKO_PRIVATE_KEY)
    data = message if scheme.digest is None else scheme.digest(message)
    signature = session.sign(key, scheme.sign, data, scheme.signature_bytes)
    if len(signature) != scheme.signature_bytes:
        raise _unusable()
    return signature if scheme.digest is None else _der(signature)


def public_key(session: Session, reference: str) -> bytes:
    """Its SubjectPublicKeyInfo."""
    return _public_key(session, _the_one(session, reference, cryptoki.CKO_PUBLIC_KEY))


def destroy(session: Session, reference: str) -> bool:
    """Destroy both keys; whether there was one."""
    found = [
        each
        for kind in (cryptoki.CKO_PRIVATE_KEY, cryptoki.CKO_PUBLIC_KEY)
        for each in session.find(_template(reference, kind))
    ]
    for each in found:
        session.destroy(each)
    return bool(found)


def references(session: Session, store_id: bytes, known: Collection[str]) -> frozenset[str]:
    """Of the private keys there the ``known`` ones, and those that are named for that store."""
    prefix, found = signing_key_prefix(store_id).encode(), set[str]()
    for key in session.find(
        {cryptoki.CKA_CLASS: cryptoki.CKO_PRIVATE_KEY, cryptoki.CKA_TOKEN: True}
    ):
        label = session.attribute(key, cryptoki.CKA_LABEL) or b""
        key_id = session.attribute(key, cryptoki.CKA_ID) or b""
        reference = f"pkcs11:{label.decode('ascii', 'replace')}:{key_id.hex()}"
        if reference in known or label.startswith(prefix):
            found.add(reference)
    return frozenset(found)


def _template(reference: str, kind: int) -> Attributes:
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise CustodianDeniedError("the signing key is none of an HSM's")
    name, key_id = found.groups()
    return {
        cryptoki.CKA_CLASS: kind,
        cryptoki.CKA_TOKEN: True,
        cryptoki.CKA_LABEL: name.encode(),
        cryptoki.CKA_ID: bytes.fromhex(key_id),
    }


def _the_one(session: Session, reference: str, kind: int) -> int:
    found = session.find(_template(reference, kind))
    if len(found) != 1:
        raise CustodianDeniedError("the signing key is not on the token, or is there twice")
    return found[0]


def _public_key(session: Session, key: int) -> bytes:
    curve = session.attribute(key, cryptoki.CKA_EC_PARAMS)
    point = session.attribute(key, cryptoki.CKA_EC_POINT) or b""
    for scheme in _SCHEMES.values():
        if curve == scheme.parameters:
            # DER OCTET STRING (v2.40 errata 01); some tokens leave its two bytes out.
            bare = point.removeprefix(_OCTET_STRING + bytes([scheme.point_bytes]))
            if len(bare) == scheme.point_bytes:
                return scheme.spki + bare
    raise _unusable()


def _der(signature: bytes) -> bytes:
    """``r || s`` as ECDSA-Sig-Value (RFC 3279 section 2.2.3); shorter than 128 bytes."""
    half = len(signature) // 2
    body = b"".join(_integer(part) for part in (signature[:half], signature[half:]))
    return _SEQUENCE + bytes([len(body)]) + body


def _integer(big_endian: bytes) -> bytes:
    digits = big_endian.lstrip(b"\0") or b"\0"
    if digits[0] & _LONG_FORM:  # the sign
        digits = b"\0" + digits
    return _INTEGER + bytes([len(digits)]) + digits


def _unusable() -> CustodianUnavailableError:
    return CustodianUnavailableError("the token answers what cannot be used")
