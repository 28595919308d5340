"""Which keys of a token are a store's master keys, and what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import MasterKeyError
from mycelium_fractal_net.security.key_providers.pkcs11 import PinSource, PKCS11Custodian, cryptoki
from mycelium_fractal_net.security.key_providers.pkcs11.cryptoki import (
    CKF_USER_PIN_COUNT_LOW,
    CKF_USER_PIN_FINAL_TRY,
    CKF_USER_PIN_LOCKED,
)
from mycelium_fractal_net.security.key_providers.pkcs11.uri import parse_uri
from tests.security.key_providers.pkcs11.conftest import bound
from tests.security.key_providers.pkcs11.faults import answering
from tests.security.key_providers.pkcs11.test_token import adding
from tests.support.custodians.pkcs11 import KEY_LABEL

if TYPE_CHECKING:
    from tests.support.custodians.pkcs11 import PKCS11Harness

MATERIAL = b"k" * 32


def make(custodian: PKCS11Custodian, key_id: bytes, **more: bool | int) -> None:
    """A key of that id on the token, as another program makes it."""
    attributes: dict[int, bytes | int | bool] = {
        cryptoki.CKA_CLASS: cryptoki.CKO_SECRET_KEY,
        cryptoki.CKA_KEY_TYPE: cryptoki.CKK_AES,
        cryptoki.CKA_VALUE_LEN: 32,
        cryptoki.CKA_LABEL: KEY_LABEL.encode(),
        cryptoki.CKA_ID: key_id,
        cryptoki.CKA_TOKEN: True,
        cryptoki.CKA_PRIVATE: True,
        cryptoki.CKA_SENSITIVE: True,
        cryptoki.CKA_EXTRACTABLE: False,
        cryptoki.CKA_WRAP: False,
        cryptoki.CKA_UNWRAP: False,
        cryptoki.CKA_SIGN: False,
        cryptoki.CKA_DERIVE: False,
    }
    attributes |= {getattr(cryptoki, f"CKA_{name}"): value for name, value in more.items()}
    custodian._careful.ask(
        lambda session: session.generate_key(cryptoki.CKM_AES_KEY_GEN, attributes), writing=True
    )


def test_the_newest_key_is_that_with_the_greatest_id(own: PKCS11Custodian) -> None:
    """Read as a number, so that what others make takes its place among ours."""
    first = own.newest_id()
    make(own, b"\x07")
    own.open()
    assert own.newest_id() == first
    make(own, b"\xff" * 9)
    own.open()
    assert own.newest_id().startswith(f"pkcs11:{'ff' * 9}:")
    own.add()
    assert own.newest_id().startswith("pkcs11:010000000000")
    assert len(own.inspect().kek_ids) == 4


def test_two_keys_of_one_id_are_not_guessed_between(own: PKCS11Custodian) -> None:
    """Nobody knows under which of them something is."""
    make(own, b"\x07")
    make(own, b"\x00\x07")
    with pytest.raises(MasterKeyError, match="the same label and the same id"):
        own.open()


def test_a_key_without_an_id_is_none(own: PKCS11Custodian) -> None:
    """It is passed over, and an operator is told."""
    make(own, b"")
    (said,) = own.inspect().warnings
    assert said == "a key of the master keys' label has no CKA_ID, and is not used: give it one"
    assert len(own.inspect().kek_ids) == 1


def test_a_key_that_is_no_aes_256_is_refused(own: PKCS11Custodian) -> None:
    """By its size, as by its kind."""
    make(own, b"\x07", VALUE_LEN=16)
    with pytest.raises(MasterKeyError, match=r"pkcs11:07:[0-9a-f]{16} on the token is no AES key"):
        own.open()


def test_a_uri_with_an_id_names_one_key(own_token: PKCS11Harness, own: PKCS11Custodian) -> None:
    """Whatever else has its label; and none is made beside it."""
    make(own, b"\x07")
    make(own, b"\x08")
    for text in (
        own_token.uri.replace(";object=", ";id=%07;object="),
        own_token.uri.replace(";object=master%20keys%20of%20a%20store", ";id=%07"),
    ):
        uri = parse_uri(text)
        pinned = PKCS11Custodian(uri, PinSource(uri.pin_source))
        newest = pinned.newest_id()
        assert newest.startswith("pkcs11:07:")
        (wrapped,) = pinned.wrap_many(newest, [(MATERIAL, bound())])
        assert pinned.unwrap_many(newest, [(wrapped, bound())]) == [MATERIAL]
        assert pinned.managing() is None
        with pytest.raises(MasterKeyError, match="names one key by its id"):
            pinned.add()
        assert pinned.holds(newest)
        assert not pinned.holds(newest.replace(":07:", ":08:"))
        pinned.close()
    uri = parse_uri(own_token.uri.replace(";object=master%20keys%20of%20a%20store", ";id=%66"))
    with pytest.raises(MasterKeyError, match="no AES key of that id"):
        PKCS11Custodian(uri, PinSource(uri.pin_source)).open()


def test_which_ids_are_its_own_is_known_by_its_uri(custodian: PKCS11Custodian) -> None:
    """A row may name any; no part of it is looked for on the token."""
    newest = custodian.newest_id()
    for foreign in ("local:1f2e", "pkcs11:01:0000000000000000", "pkcs11::696cec891079b905", ""):
        assert not custodian.holds(foreign)
    with pytest.raises(MasterKeyError):
        custodian.unwrap_many(newest.replace("pkcs11:", "pkcs11:ff"), [(b"x" * 60, bound())])


def test_a_key_that_may_leave_the_token_begins_no_store(own: PKCS11Custodian) -> None:
    """And a store that has one goes on, while an operator is told."""
    make(own, b"\xff" * 8, EXTRACTABLE=True)
    with pytest.raises(MasterKeyError, match="may be taken out of the token"):
        own.open(refuse_wide=True)
    own.open()
    said = own.inspect().warnings
    assert any(
        "may be taken out of the token (CKA_EXTRACTABLE): mfn master" in each for each in said
    )
    assert any("could once be taken out" in each for each in said)
    assert any("the token has 2 keys of the master keys' label" in each for each in said)
    own.add()
    own.open(refuse_wide=True)


def test_attributes_that_are_too_wide_are_named(own: PKCS11Custodian) -> None:
    """Each with what it allows."""
    make(own, b"\xff" * 8, WRAP=True, UNWRAP=True, DERIVE=True, SIGN=True)
    said = " ".join(own.inspect().warnings)
    for name in ("CKA_WRAP", "CKA_UNWRAP", "CKA_DERIVE", "CKA_SIGN"):
        assert f"({name})" in said


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        (CKF_USER_PIN_LOCKED, "the token's PIN is locked"),
        (CKF_USER_PIN_FINAL_TRY, "one more wrong PIN locks the token"),
        (CKF_USER_PIN_COUNT_LOW, "the token was given a wrong PIN"),
    ],
)
def test_what_a_token_says_of_its_pin_is_told(
    custodian: PKCS11Custodian, flag: int, says: str
) -> None:
    """Before it locks, if somebody looks."""
    assert custodian.inspect().warnings == ()
    with answering(custodian._token.library, C_GetTokenInfo=adding(custodian, flag)):
        (said,) = custodian.inspect().warnings
    assert said.startswith(says)


def test_an_operator_is_told_which_token_it_is(
    token: PKCS11Harness, custodian: PKCS11Custodian
) -> None:
    """With its serial number and firmware."""
    place = custodian.inspect().place
    assert place.startswith(f"pkcs11:token={token.token};object=master%20keys%20of%20a%20store (")
    assert "SoftHSM v2, serial " in place
    assert place.endswith("firmware 2.6)")
