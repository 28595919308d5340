"""One login for all threads of a process, a session for each, and PINs that are not tried twice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
)
from mycelium_fractal_net.security.key_providers.pkcs11 import PinSource, PKCS11Custodian, parse_uri
from mycelium_fractal_net.security.key_providers.pkcs11 import token as tokens
from mycelium_fractal_net.security.key_providers.pkcs11.cryptoki import (
    CKF_USER_PIN_FINAL_TRY,
    CKF_USER_PIN_LOCKED,
)
from tests.security.key_providers.pkcs11.conftest import bound, reached
from tests.security.key_providers.pkcs11.faults import Always, Once, answering
from tests.support.custodians.pkcs11 import PIN, SO_PIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.support.custodians.pkcs11 import PKCS11Harness

PIN_LOCKED = 0xA4


def test_threads_share_one_login_and_no_session(custodian: PKCS11Custodian) -> None:
    """A session that two share answers CKR_OPERATION_ACTIVE."""
    library = custodian._token.library
    logins, opened = Always(0), Always(0)
    logins.times = opened.times = 0
    gate = threading.Barrier(8)
    failed: list[BaseException] = []

    def work() -> None:
        gate.wait()
        try:
            newest = custodian.newest_id()
            for _ in range(20):
                (wrapped,) = custodian.wrap_many(newest, [(b"k" * 32, bound())])
                assert custodian.unwrap_many(newest, [(wrapped, bound())]) == [b"k" * 32]
        except BaseException as error:
            failed.append(error)

    with answering(library, C_Login=logins, C_OpenSession=opened):
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
    assert logins.calls == 1
    assert opened.calls <= 9  # one for each thread, and the one that keeps the login
    assert custodian._token.library.calls_under_way == 0


def test_a_wrong_pin_is_tried_once_until_its_file_changes(own_token: PKCS11Harness) -> None:
    """However often a key is needed: tokens lock after some wrong PINs."""
    own_token.pin_file.write_text("1234-wrong\n")
    custodian = reached(own_token)
    tries = Once(0, times=0)
    with answering(custodian._token.library, C_Login=tries):
        with pytest.raises(CustodianDeniedError, match=r"the PIN is wrong \(CKR_PIN_INCORRECT\)"):
            custodian.make_first()
        for _ in range(3):
            with pytest.raises(CustodianDeniedError, match="refused this PIN"):
                custodian.make_first()
        with pytest.raises(CustodianDeniedError, match="refused this PIN"):
            reached(own_token).make_first()  # another custodian of the same process
        assert tries.calls == 1
        own_token.pin_file.write_text(f"{PIN}\n")
        custodian.make_first()
        assert tries.calls == 2
    custodian.close()


def test_the_last_try_of_a_pin_is_left_to_a_person(own_token: PKCS11Harness) -> None:
    """And a PIN that is locked is not tried at all."""
    custodian = reached(own_token)
    tries = Once(0, times=0)
    for flag, says in ((CKF_USER_PIN_FINAL_TRY, "one more PIN"), (CKF_USER_PIN_LOCKED, "locked")):
        with (
            answering(
                custodian._token.library,
                C_Login=tries,
                C_GetTokenInfo=adding(custodian, flag),
            ),
            pytest.raises(CustodianDeniedError, match=says),
        ):
            custodian.make_first()
    assert tries.calls == 0
    with (
        answering(custodian._token.library, C_Login=Once(PIN_LOCKED)),
        pytest.raises(CustodianDeniedError, match="its security officer sets a new one"),
    ):
        custodian.make_first()


def adding(custodian: PKCS11Custodian, flag: int) -> Callable[..., int]:
    """A C_GetTokenInfo that says a flag more."""
    real = custodian._token.library._functions.C_GetTokenInfo

    def function(slot: int, info: Any) -> int:
        code = int(real(slot, info))
        info.contents.flags |= flag
        return code

    return function


def test_an_outage_at_the_login_is_no_wrong_pin(own_token: PKCS11Harness) -> None:
    """It is tried again."""
    custodian = reached(own_token)
    with (
        answering(custodian._token.library, C_Login=Once(0x30)),
        pytest.raises(CustodianUnavailableError, match="DEVICE_ERROR"),
    ):
        custodian.make_first()
    custodian.make_first()
    custodian.close()


def test_the_pin_that_the_officer_sets_is_read_again(own_token: PKCS11Harness) -> None:
    """Where the file names it, the next login goes through; nothing is started anew."""
    custodian = reached(own_token)
    custodian.make_first()
    own_token.act("set-pin", SO_PIN, "2718-2818")
    library = custodian._token.library
    library.begin_anew(library.generation)  # SoftHSM remembers the PIN that it saw at its start
    with pytest.raises(CustodianDeniedError, match="PIN is wrong"):
        custodian.ping()
    own_token.pin_file.write_text("2718-2818\n")
    custodian.ping()
    custodian.close()


def test_two_tokens_that_fit_are_told_apart_by_their_serial_number(
    own_token: PKCS11Harness, token: PKCS11Harness
) -> None:
    """None of them is taken by chance."""
    both = own_token.uri.replace(f"token={own_token.token};", "manufacturer=SoftHSM%20project;")
    reached(own_token).make_first()
    uri = parse_uri(both)
    with pytest.raises(MasterKeyError, match=r"several tokens fit MFN_PKCS11_URI: .*serial="):
        PKCS11Custodian(uri, PinSource(uri.pin_source)).make_first()
    for more in ("model=other;", "slot-id=0;", "serial=0;"):
        uri = parse_uri(both.replace("pkcs11:", f"pkcs11:{more}"))
        with pytest.raises(CustodianUnavailableError, match="no token as MFN_PKCS11_URI names it"):
            PKCS11Custodian(uri, PinSource(uri.pin_source)).ping()


def test_sessions_are_bounded(custodian: PKCS11Custodian, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds none waits, and not for ever."""
    custodian.ping()
    monkeypatch.setattr(tokens, "_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(custodian._token, "_places", threading.BoundedSemaphore(1))
    with custodian._token.session(), pytest.raises(CustodianUnavailableError, match="in use"):
        custodian.ping()
    custodian.ping()


def test_an_error_leaves_no_session_behind(custodian: PKCS11Custodian) -> None:
    """Something may be under way in it: it is closed, and the next call has another."""
    custodian.ping()
    idle = list(custodian._token._idle)
    with (
        answering(custodian._token.library, C_Encrypt=Always(0x68)),
        pytest.raises(CustodianDeniedError),
    ):
        custodian.ping()
    assert custodian._token._idle == idle[:-1]
    custodian.ping()


def test_a_session_of_before_is_not_used_after(custodian: PKCS11Custodian) -> None:
    """One that comes back after all were closed is closed too."""
    with custodian._token.session():
        custodian.close()
    assert custodian._token._idle == []
    custodian.close()
    custodian.ping()


def test_a_custodian_shows_what_it_is_and_no_pin(custodian: PKCS11Custodian) -> None:
    """In a log or a traceback."""
    shown = repr(custodian) + repr(custodian._token)
    assert "object=master%20keys" in shown
    assert PIN not in shown


def test_what_was_opened_before_an_outage_is_not_closed_after(custodian: PKCS11Custodian) -> None:
    """Its handles mean nothing any more, or something of another's."""
    custodian.ping()
    library = custodian._token.library
    library.begin_anew(library.generation)
    closed = Once(0, times=0)
    with answering(library, C_CloseSession=closed):
        custodian.close()
    assert closed.calls == 0
    custodian.ping()


def test_a_token_that_fails_while_keys_are_looked_at_is_an_outage(
    custodian: PKCS11Custodian,
) -> None:
    """An attribute that it has not, or does not show, is none."""
    with (
        answering(custodian._token.library, C_GetAttributeValue=Once(0x30)),
        pytest.raises(CustodianUnavailableError, match="DEVICE_ERROR"),
    ):
        custodian.open()
    custodian.open()
    assert custodian.has_key()
