"""An outage, a refusal and a row that was edited, told apart by a token that does not say which."""

from __future__ import annotations

from ctypes import POINTER, cast, memset
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers.call_limits import CallLimits
from mycelium_fractal_net.security.key_providers.pkcs11 import codes
from mycelium_fractal_net.security.key_providers.pkcs11.codes import TokenError
from mycelium_fractal_net.security.key_providers.pkcs11.cryptoki import GcmParams
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from tests.security.key_providers.pkcs11.conftest import bound, reached
from tests.security.key_providers.pkcs11.faults import Always, Once, answering

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.pkcs11 import PKCS11Custodian
    from tests.support.custodians.pkcs11 import PKCS11Harness

MATERIAL = b"k" * 32
GENERAL_ERROR, DEVICE_ERROR, DEVICE_REMOVED = 0x5, 0x30, 0x32
QUICK = CallLimits(deadline_seconds=5.0, attempts=3, first_pause_seconds=0.01)


def wrapped(custodian: PKCS11Custodian) -> bytes:
    return custodian.wrap_many(custodian.newest_id(), [(MATERIAL, bound())])[0]


def unwrapped(custodian: PKCS11Custodian, sealed: bytes) -> bytes:
    return bytes(custodian.unwrap_many(custodian.newest_id(), [(sealed, bound())])[0])


@pytest.mark.parametrize("code", codes._DENIED)
def test_a_refusal_says_what_is_refused(custodian: PKCS11Custodian, code: int) -> None:
    """And is believed: the token answered."""
    library = custodian._token.library
    before = library.generation
    refusing = Once(code)
    custodian.ping()
    with (
        answering(library, C_EncryptInit=refusing),
        pytest.raises(CustodianDeniedError, match=rf"\(CKR_{codes.name_of(code)}\)"),
    ):
        custodian.ping()
    assert (refusing.calls, library.generation) == (1, before)


@pytest.mark.parametrize("code", codes._EDITED)
def test_a_token_that_says_that_a_row_was_edited_is_believed(
    custodian: PKCS11Custodian, code: int
) -> None:
    """SoftHSM does not; others do."""
    sealed = wrapped(custodian)
    saying = Once(code)
    with (
        answering(custodian._token.library, C_Decrypt=saying),
        pytest.raises(StoreIntegrityError),
    ):
        unwrapped(custodian, sealed)
    assert saying.calls == 1


@pytest.mark.parametrize("code", [*codes._UNAVAILABLE, 0x80000001])
def test_an_outage_that_is_over_is_no_tampering(custodian: PKCS11Custodian, code: int) -> None:
    """Whatever it was called: where the token works, the row is asked for once more."""
    sealed = wrapped(custodian)
    with answering(custodian._token.library, C_Decrypt=Once(code)):
        assert unwrapped(custodian, sealed) == MATERIAL


@pytest.mark.parametrize("code", [*codes._UNAVAILABLE, 0x80000001])
def test_a_token_that_does_not_work_is_an_outage(custodian: PKCS11Custodian, code: int) -> None:
    """No row is called edited, and nobody refused; the library begins anew."""
    sealed = wrapped(custodian)
    library = custodian._token.library
    before = library.generation
    with (
        answering(library, C_Decrypt=Always(code)),
        pytest.raises(CustodianUnavailableError, match=rf"CKR_{codes.name_of(code)}\)"),
    ):
        unwrapped(custodian, sealed)
    assert library.generation == before + 1
    assert unwrapped(custodian, sealed) == MATERIAL


def test_a_token_that_fails_between_two_looks_is_an_outage(custodian: PKCS11Custodian) -> None:
    """The row fails, the token works, the row fails, the token does not: nothing is known."""
    sealed = wrapped(custodian)
    answers = iter([GENERAL_ERROR, None, GENERAL_ERROR, DEVICE_REMOVED])
    with (
        answering(custodian._token.library, C_Decrypt=lambda *_: next(answers)),
        pytest.raises(CustodianUnavailableError, match="DEVICE_REMOVED"),
    ):
        unwrapped(custodian, sealed)
    answers = iter([GENERAL_ERROR, None])
    inits = iter([None, None, DEVICE_ERROR])
    with (
        answering(
            custodian._token.library,
            C_Decrypt=lambda *_: next(answers),
            C_DecryptInit=lambda *_: next(inits),
        ),
        pytest.raises(CustodianUnavailableError, match="DEVICE_ERROR"),
    ):
        unwrapped(custodian, sealed)


def test_an_error_where_nothing_is_decrypted_is_an_outage(custodian: PKCS11Custodian) -> None:
    """Whoever asks may ask again: a key is made once, and nothing is made here by trying."""
    failing = Once(GENERAL_ERROR)
    custodian.ping()
    with (
        answering(custodian._token.library, C_Encrypt=failing),
        pytest.raises(CustodianUnavailableError, match=r"does not answer \(CKR_GENERAL_ERROR\)"),
    ):
        wrapped(custodian)
    assert failing.calls == 2  # the second is that of which the answer is known


def test_a_token_that_refuses_its_known_answer_refuses(custodian: PKCS11Custodian) -> None:
    """That is what is said, and the library is left as it is."""
    sealed = wrapped(custodian)
    library = custodian._token.library
    before = library.generation
    with (
        answering(library, C_Decrypt=Once(GENERAL_ERROR), C_EncryptInit=Always(0x68)),
        pytest.raises(CustodianDeniedError, match="attributes do not permit it"),
    ):
        unwrapped(custodian, sealed)
    assert library.generation == before


def test_a_token_that_decrypts_to_something_else_is_not_used(custodian: PKCS11Custodian) -> None:
    """One that chooses the nonce by itself is such, or one whose tag is shorter."""
    real = custodian._token.library._functions.C_EncryptInit

    def with_a_tag_of_12_bytes(session: int, mechanism: Any, key: int) -> int:
        cast(mechanism.contents.pParameter, POINTER(GcmParams)).contents.ulTagBits = 96
        return int(real(session, mechanism, key))

    with (
        answering(custodian._token.library, C_EncryptInit=with_a_tag_of_12_bytes),
        pytest.raises(CustodianDeniedError, match="a tag of 16 bytes"),
    ):
        custodian.ping()

    def changed(_: int, __: Any, size: int, out: Any, written: Any) -> int:
        memset(out, 0, written.contents.value)
        written.contents.value = size - 16
        return 0

    def shorter(_: int, __: Any, size: int, ___: Any, written: Any) -> int:
        written.contents.value = size - 17
        return 0

    with answering(custodian._token.library, C_Decrypt=changed):
        with pytest.raises(CustodianDeniedError, match="does not decrypt to what it encrypted"):
            custodian.ping()
    with answering(custodian._token.library, C_Decrypt=shorter):
        with pytest.raises(CustodianUnavailableError, match="cannot be used"):
            custodian.ping()


def test_a_token_that_is_taken_out_and_put_back_is_used_again(
    own_token: PKCS11Harness, own: PKCS11Custodian
) -> None:
    """Without a restart; while it is out, that is an outage, of wrapping and of unwrapping."""
    sealed = wrapped(own)
    behind = RemoteCustodian(lambda: own, QUICK)
    own_token.stop()
    for _ in range(3):
        with pytest.raises(CustodianUnavailableError):
            unwrapped(own, sealed)
        with pytest.raises(CustodianUnavailableError):
            wrapped(own)
        with pytest.raises(CustodianUnavailableError):
            own.ping()
        with pytest.raises(CustodianUnavailableError):
            own.inspect()
    own_token.start()
    behind.ping()
    assert unwrapped(own, sealed) == MATERIAL


def test_a_token_that_was_initialised_again_has_lost_its_keys(
    own_token: PKCS11Harness, own: PKCS11Custodian
) -> None:
    """No outage, and no edited row: the master key is not there any more."""
    sealed = wrapped(own)
    own_token.stop()
    with pytest.raises(CustodianUnavailableError):
        unwrapped(own, sealed)
    own_token.folder = own_token.initialise()
    with pytest.raises(MasterKeyError, match="no AES key of the label 'master keys of a store'"):
        unwrapped(own, sealed)
    own.make_first()
    with pytest.raises(MasterKeyError, match="does not hold the master key that the store needs"):
        own.unwrap_many("pkcs11:01:696cec891079b905", [(sealed, bound())])


def test_a_key_that_is_switched_off_is_a_refusal(
    own_token: PKCS11Harness, own: PKCS11Custodian
) -> None:
    """And back on it serves again."""
    sealed = wrapped(own)
    own_token.disable()
    with pytest.raises(CustodianDeniedError, match="KEY_FUNCTION_NOT_PERMITTED"):
        unwrapped(own, sealed)
    with pytest.raises(CustodianDeniedError):
        reached(own_token).ping()
    own_token.enable()
    assert unwrapped(own, sealed) == MATERIAL


def test_an_error_of_the_library_says_its_function_and_number() -> None:
    """For whoever debugs; callers get errors of ours."""
    assert str(TokenError("C_Login", 0xA0)) == "C_Login: PIN_INCORRECT"
    assert str(TokenError("C_Login", 0x80000007)) == "C_Login: 0x80000007"
