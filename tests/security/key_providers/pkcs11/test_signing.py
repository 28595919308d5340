"""Signing keys that are made on a token, and verified without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.errors import CustodianDeniedError, CustodianUnavailableError
from mycelium_fractal_net.security.key_providers import SigningCustodian, signing_key_name
from mycelium_fractal_net.security.key_providers.pkcs11 import cryptoki, signing
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey
from tests.security.key_providers.pkcs11.conftest import bound
from tests.security.key_providers.pkcs11.faults import answering

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.pkcs11 import PKCS11Custodian

ALGORITHMS = ("ECDSA-P256", "ECDSA-P384", "Ed25519")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_the_token_signs_verifies_without_it(
    custodian: PKCS11Custodian, algorithm: str
) -> None:
    """By the public key that the token gives; a key that was destroyed is gone."""
    behind = RemoteCustodian(lambda: custodian)
    assert isinstance(behind, SigningCustodian)
    assert behind.signing_algorithms == set(ALGORITHMS)
    made = behind.create_signing_key(algorithm, bound())
    assert made.reference.startswith(f"pkcs11:{signing_key_name(bound())}:")
    key = VerifyingKey.from_der(made.public_key)
    assert key.algorithm == algorithm
    for number in range(16):  # some have a leading zero in r or s, or a leading one
        message = b"release %d" % number
        key.verify(message, behind.sign(made.reference, algorithm, message))
    assert behind.signing_public_key(made.reference) == made.public_key
    for _ in range(2):
        behind.destroy_signing_key(made.reference)
        with pytest.raises(CustodianDeniedError, match="is not on the token"):
            behind.sign(made.reference, algorithm, b"release")
        with pytest.raises(CustodianDeniedError, match="is not on the token"):
            behind.signing_public_key(made.reference)


def test_two_keys_for_one_name_are_told_apart(custodian: PKCS11Custodian) -> None:
    """An answer that was lost leaves one over; a reference is to one of them."""
    first = custodian.create_signing_key("ECDSA-P256", bound())
    second = custodian.create_signing_key("ECDSA-P256", bound())
    assert first.reference != second.reference
    custodian.destroy_signing_key(first.reference)
    assert custodian.signing_public_key(second.reference) == second.public_key
    custodian.destroy_signing_key(second.reference)


def test_what_is_left_over_is_found_by_its_label(custodian: PKCS11Custodian) -> None:
    """Of the store's keys, and of those that somebody knows."""
    made = custodian.create_signing_key("ECDSA-P256", bound())
    store_id = bound().store_id
    behind = RemoteCustodian(lambda: custodian)
    assert made.reference in (behind.list_signing_keys(store_id, (), thorough=False) or ())
    assert custodian.list_signing_keys(b"x" * 16, (), thorough=False) == set()
    known = {made.reference, made.reference[:-1]}
    assert custodian.list_signing_keys(b"x" * 16, known, thorough=False) == {made.reference}
    custodian.destroy_signing_key(made.reference)
    assert made.reference not in custodian.list_signing_keys(store_id, known, thorough=False)


def test_a_signing_key_stays_on_the_token(custodian: PKCS11Custodian) -> None:
    """It signs, and does nothing else; it cannot be read, and leaves under no other key."""
    made = custodian.create_signing_key("ECDSA-P256", bound())
    with custodian._token.session() as session:
        key = signing._the_one(session, made.reference, cryptoki.CKO_PRIVATE_KEY)
        kinds = ("SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "PRIVATE", "SIGN", "LOCAL")
        for kind in kinds:
            assert session.number(key, getattr(cryptoki, f"CKA_{kind}")) == 1, kind
        for kind in ("EXTRACTABLE", "DECRYPT", "UNWRAP", "DERIVE"):
            assert session.number(key, getattr(cryptoki, f"CKA_{kind}")) == 0, kind
        assert session.attribute(key, 0x11) is None  # CKA_VALUE
    custodian.destroy_signing_key(made.reference)


@pytest.mark.parametrize(
    "reference", ["", "pkcs11:orders:00", "pkcs11:mfn-signing-0:zz", "aws-kms:x", "../x"]
)
def test_a_reference_to_something_else_is_refused(
    custodian: PKCS11Custodian, reference: str
) -> None:
    """A key of another's on the same token is not used."""
    for act in (custodian.signing_public_key, custodian.destroy_signing_key):
        with pytest.raises(CustodianDeniedError, match="none of an HSM's"):
            act(reference)


def test_a_token_makes_keys_for_what_it_lists(custodian: PKCS11Custodian) -> None:
    """One without Ed25519 makes none."""
    custodian.ping()
    custodian._mechanisms = frozenset(
        {cryptoki.CKM_AES_GCM, cryptoki.CKM_EC_KEY_PAIR_GEN, cryptoki.CKM_ECDSA}
    )
    assert custodian.signing_algorithms == {"ECDSA-P256", "ECDSA-P384"}
    with pytest.raises(CustodianDeniedError, match="makes no keys for Ed25519"):
        custodian.create_signing_key("Ed25519", bound())


def test_the_algorithms_are_known_before_anything_was_asked(custodian: PKCS11Custodian) -> None:
    """The token is asked then."""
    assert custodian.signing_algorithms == set(ALGORITHMS)


def test_a_signature_or_a_point_of_another_size_is_not_used(custodian: PKCS11Custodian) -> None:
    """It is an outage: the token answers something else than what it was asked."""
    made = custodian.create_signing_key("ECDSA-P256", bound())

    def shorter(_: int, __: Any, ___: int, ____: Any, written: Any) -> int:
        written.contents.value = 63
        return 0

    with (
        answering(custodian._token.library, C_Sign=shorter),
        pytest.raises(CustodianUnavailableError, match="cannot be used"),
    ):
        custodian.sign(made.reference, "ECDSA-P256", b"m")
    real = custodian._token.library._functions.C_GetAttributeValue

    def of_another_size(session: int, key: int, attribute: Any, count: int) -> int:
        code = int(real(session, key, attribute, count))
        if attribute.contents.type == cryptoki.CKA_EC_POINT:
            attribute.contents.ulValueLen -= 1
        return code

    with (
        answering(custodian._token.library, C_GetAttributeValue=of_another_size),
        pytest.raises(CustodianUnavailableError, match="cannot be used"),
    ):
        custodian.signing_public_key(made.reference)
    custodian.destroy_signing_key(made.reference)


def test_integers_of_a_signature_are_as_short_as_der_has_them() -> None:
    """X.690 section 8.3: no byte too many, and one for the sign."""
    assert signing._der(bytes(31) + b"\x7f" + bytes(31) + b"\x80").hex() == "300702017f02020080"
    assert signing._der(bytes(64)).hex() == "3006020100020100"
