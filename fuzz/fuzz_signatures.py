"""Fuzz what reads signatures and their keys: `.sig` files, DER, PEM, JWK, bare signatures.

    python -m fuzz signatures -max_total_time=60 fuzz/corpus/signatures

The first byte of an input chooses the reader. A finding is an error that is not one of ours,
or a key or file that has a second spelling: what parses must encode to the same bytes again.
"""

from __future__ import annotations

import contextlib
import json

from fuzz.running import Reader, chosen
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.signatures.signature_file import (
    encode_signature_file,
    parse_signature_file,
)
from mycelium_fractal_net.security.signatures.signing_key import ALGORITHMS, SigningKey
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

# Fixed, so that an input does the same in every run.
_SEEDS = {name: bytes([7]) * (48 if name == "ECDSA-P384" else 32) for name in ALGORITHMS}
KEYS = [SigningKey.from_private_bytes(name, seed) for name, seed in _SEEDS.items()]


def _same(one: object, other: object) -> None:
    assert one == other, "a finding: two spellings of one thing"


def _within(block: bytes, data: bytes) -> None:
    assert block in data.replace(b"\r\n", b"\n"), "a finding: two spellings of one key"


def signature_file(data: bytes) -> None:
    _same(encode_signature_file(*parse_signature_file(data)), data)


def public_der(data: bytes) -> None:
    _same(VerifyingKey.from_der(data).der(), data)


def private_der(data: bytes) -> None:
    _same(SigningKey.from_der(data).private_der(), data)


def public_pem(data: bytes) -> None:
    _within(VerifyingKey.from_pem(data).pem().strip(), data)


def private_pem(data: bytes) -> None:
    _within(SigningKey.from_pem(data).private_pem().strip(), data)


def _document(data: bytes) -> object:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(data)
    return None


def public_jwk(data: bytes) -> None:
    jwk = _document(data)
    key = VerifyingKey.from_jwk(jwk)  # type: ignore[arg-type]
    again = key.jwk()
    for member in {"kty", "crv", "x", "y", "pub"} & set(again):  # others say nothing of this key
        _same(again[member], jwk.get(member))  # type: ignore[attr-defined]
    _same(VerifyingKey.from_jwk_text(data).der(), key.der())


def bare_signature(data: bytes) -> None:
    """Any outcome but an error that is not ours."""
    if not data:
        return
    KEYS[data[0] % len(KEYS)].public.verify(b"message", data[1:])


READERS: tuple[Reader, ...] = (
    signature_file,
    public_der,
    private_der,
    public_pem,
    private_pem,
    public_jwk,
    bare_signature,
)


one_input = chosen(READERS, MfnError)


def seeds() -> dict[str, bytes]:
    """Well-formed inputs for each reader: the corpus that mutations begin from."""
    found = {"file": b"\0" + encode_signature_file(bytes(8), 1, b"signature")}  # type: ignore[arg-type]
    for number, key in enumerate(KEYS):
        public = key.public
        for reader, content in (
            (public_der, public.der()),
            (private_der, key.private_der()),
            (public_pem, public.pem()),
            (private_pem, key.private_pem()),
            (public_jwk, json.dumps(public.jwk()).encode()),
            (bare_signature, bytes([number]) + key.sign(b"message")),
        ):
            name = f"{reader.__name__}-{key.algorithm.lower()}"
            found[name] = bytes([READERS.index(reader)]) + content
    return found
