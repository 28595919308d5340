"""Signatures in their fixed-size form, and the thumbprints of keys."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.signatures.prehash import PREHASH_LABEL
from mycelium_fractal_net.security.signatures.signing_key import ALGORITHMS, SigningKey

KEYS = {name: SigningKey.generate(name) for name in ALGORITHMS}
SIZES = {"Ed25519": 64, "ECDSA-P256": 64, "ECDSA-P384": 96, "ML-DSA-65": 3309}
ORDERS = {"ECDSA-P256": ec.SECP256R1().group_order, "ECDSA-P384": ec.SECP384R1().group_order}
each_algorithm = pytest.mark.parametrize("name", ALGORITHMS)
each_curve = pytest.mark.parametrize("name", ORDERS)


def refused(name: str, data: bytes, signature: bytes) -> bool:
    with pytest.raises(InvalidSignatureError):
        KEYS[name].public.verify_fixed_size(data, signature)
    return True


@each_algorithm
def test_a_signature_of_one_size_verifies(name: str) -> None:
    """Of bytes and of any other buffer; for no other data."""
    key = KEYS[name]
    signature = key.sign_fixed_size(b"data")
    assert len(signature) == SIZES[name]
    key.public.verify_fixed_size(b"data", signature)
    key.public.verify_fixed_size(bytearray(b"data"), memoryview(signature))
    assert refused(name, b"date", signature)
    for other in (b"", signature[:-1], signature + b"\0", b"\0" + signature):
        assert refused(name, b"data", other)
    with pytest.raises(InvalidInputError):
        key.public.verify_fixed_size("data", signature)  # type: ignore[arg-type]


@each_algorithm
def test_the_two_forms_are_of_the_same_signature(name: str) -> None:
    """What :meth:`sign` gave is turned into the other form by the public key alone."""
    key = KEYS[name]
    signature = key.sign(b"data")
    key.public.verify_fixed_size(b"data", key.public.fixed_size(signature))
    if name in ORDERS:
        assert refused(name, b"data", signature)
        with pytest.raises(InvalidSignatureError):
            key.public.verify(b"data", key.public.fixed_size(signature))
    else:
        assert key.public.fixed_size(signature) == signature


@each_curve
@given(data=st.data())
def test_every_pair_of_numbers_has_one_form_of_each_kind(name: str, data: st.DataObject) -> None:
    """Short numbers are padded on the left."""
    numbers = st.one_of(st.integers(1, 300), st.integers(1, ORDERS[name] - 1))
    r, s = data.draw(numbers), data.draw(numbers)
    size = SIZES[name] // 2
    fixed = KEYS[name].public.fixed_size(encode_dss_signature(r, s))
    assert fixed == r.to_bytes(size, "big") + s.to_bytes(size, "big")


@each_curve
def test_numbers_out_of_range_are_refused(name: str) -> None:
    """Zero, the order of the curve and above; in DER, negative ones and second spellings too."""
    public, order, size = KEYS[name].public, ORDERS[name], SIZES[name] // 2
    top = 256**size - 1
    for r, s in ((0, 1), (1, 0), (order, 1), (1, order), (top, 1), (1, top)):
        assert refused(name, b"data", r.to_bytes(size, "big") + s.to_bytes(size, "big"))
        with pytest.raises(InvalidSignatureError):
            public.fixed_size(encode_dss_signature(r, s))
    good = encode_dss_signature(1, 1)
    for der in (good + b"\0", good[:-1], b"", bytes.fromhex("300702020001020101"), b"0\x80"):
        with pytest.raises(InvalidSignatureError):
            public.fixed_size(der)


@each_algorithm
def test_the_label_of_signed_hashes_is_refused_in_this_form_too(name: str) -> None:
    """A signature of one kind is never one of the other."""
    key = KEYS[name]
    digest = hashlib.sha512(b"data").digest()
    signature = key.public.fixed_size(key.sign_prehashed(digest))
    assert refused(name, PREHASH_LABEL + digest, signature)
    with pytest.raises(InvalidInputError):
        key.sign_fixed_size(PREHASH_LABEL + digest)


@each_algorithm
def test_a_thumbprint_is_the_hash_of_the_one_encoding(name: str) -> None:
    """SHA-256 of the DER SubjectPublicKeyInfo; another key has another one."""
    public = KEYS[name].public
    assert public.thumbprint() == hashlib.sha256(public.der()).digest()
    assert public.thumbprint() != SigningKey.generate(name).public.thumbprint()
