"""Public keys of signatures as JSON Web Keys.

Ed25519 is an OKP key (RFC 8037 section 2), ECDSA an EC key (RFC 7518 section 6.2), ML-DSA-65
an AKP key (RFC 9964 section 3). Every byte member has exactly one size and one spelling.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, NoReturn

from mycelium_fractal_net.security.byte_io.encodings import b64url_decode, b64url_encode
from mycelium_fractal_net.security.errors import InvalidKeyError

# Of any key type: RFC 7518 sections 6.2.2, 6.3.2 and 6.4, RFC 8037, RFC 9964.
_PRIVATE_MEMBERS: Final = frozenset(["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"])


class _Layout(NamedTuple):
    kty: str
    crv: str | None
    alg: tuple[str, ...]  # the first one is written
    public: tuple[tuple[str, int], ...]  # members and their sizes in bytes


_LAYOUTS: Final = {
    # RFC 9864 deprecates "EdDSA" for "Ed25519", but most readers of JWK know only the former.
    "Ed25519": _Layout("OKP", "Ed25519", ("EdDSA", "Ed25519"), (("x", 32),)),
    "ECDSA-P256": _Layout("EC", "P-256", ("ES256",), (("x", 32), ("y", 32))),
    "ECDSA-P384": _Layout("EC", "P-384", ("ES384",), (("x", 48), ("y", 48))),
    "ML-DSA-65": _Layout("AKP", None, ("ML-DSA-65",), (("pub", 1952),)),
}


def jwk_encode(algorithm: str, point: bytes) -> dict[str, str]:
    """The JWK of a public key."""
    layout = _LAYOUTS[algorithm]
    jwk = {"kty": layout.kty, "alg": layout.alg[0], "use": "sig"}
    if layout.crv is not None:
        jwk["crv"] = layout.crv
    start = 0
    for member, size in layout.public:
        jwk[member] = b64url_encode(point[start : start + size])
        start += size
    return jwk


def jwk_members(text: str | bytes) -> Mapping[str, object]:
    """The members of a JWK in JSON.

    :raises InvalidKeyError: it is no JSON in UTF-8, or a member stands in it twice, which
        RFC 7517 section 4 lets a reader refuse: two readers could see two keys.
    """
    try:
        raw = text.removeprefix("\ufeff") if isinstance(text, str) else text.decode("utf-8-sig")
        members = json.loads(raw, object_pairs_hook=_each_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InvalidKeyError("a JWK is a JSON object") from None
    if not isinstance(members, dict):
        raise InvalidKeyError("a JWK is a JSON object")
    return members


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidKeyError("a member of the JWK is there twice")
    return members


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("JSON has no NaN and no infinity")  # RFC 8259 section 6


def jwk_decode(jwk: Mapping[str, object]) -> tuple[str, bytes]:
    """The algorithm and the point of a public JWK.

    Members that say nothing about the key are ignored, as RFC 7517 section 4 demands.

    :raises InvalidKeyError: it is no signature key of ours; its members disagree; one of them
        has another size or spelling; or there is a private member, since a private key must
        not be handed round as a public one.
    """
    algorithm = _algorithm(jwk)
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise InvalidKeyError("the JWK has private members; only its public part belongs here")
    return algorithm, _point(jwk, algorithm)


def _algorithm(jwk: Mapping[str, object]) -> str:
    """Told by ``kty`` and ``crv``, or by ``kty`` and ``alg`` for AKP, where ``alg`` is required."""
    if not isinstance(jwk, Mapping):
        raise InvalidKeyError("a JWK is a JSON object")
    if jwk.get("use", "sig") != "sig":
        raise InvalidKeyError("the JWK is not for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise InvalidKeyError("the JWK may not verify")
    for algorithm, layout in _LAYOUTS.items():
        alg = jwk.get("alg", None if layout.crv is None else layout.alg[0])
        if (jwk.get("kty"), jwk.get("crv")) == (layout.kty, layout.crv) and alg in layout.alg:
            return algorithm
    raise InvalidKeyError("the JWK is of no signature key we know, or its members disagree")


def _point(jwk: Mapping[str, object], algorithm: str) -> bytes:
    return b"".join(_member(jwk, name, size) for name, size in _LAYOUTS[algorithm].public)


def _member(jwk: Mapping[str, object], name: str, size: int) -> bytes:
    value = b64url_decode(jwk.get(name))
    if len(value) != size:
        raise InvalidKeyError(f"the member {name!r} of the JWK is not {size} bytes")
    return value
