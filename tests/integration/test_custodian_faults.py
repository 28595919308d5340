"""Custodians on real servers, while the other side misbehaves in every way that it can.

Each fault meets some hundred operations from many threads, ``MFN_TEST_FAULTS`` of them: none gives
a wrong result, each ends within its deadline, the log has one line that names the cause, and once
the fault is over all is well without a restart.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from mycelium_fractal_net.bootstrap import build_policy
from mycelium_fractal_net.bootstrap.custodians import scheme_of
from mycelium_fractal_net.bootstrap.custodians.remote import RemoteScheme
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
    MfnError,
)
from mycelium_fractal_net.security.key_providers import Binding
from mycelium_fractal_net.security.key_providers.call_limits import CallLimits
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from tests.support import fault_proxy as faults
from tests.support.custodians import new_harness
from tests.support.fault_proxy import FaultProxy
from tests.support.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.fault_proxy import Mode
    from tests.support.tls import Pair

pytestmark = pytest.mark.long

OPERATIONS: Final = int(os.environ.get("MFN_TEST_FAULTS", "100"))
_THREADS: Final = 8
_MANY_THREADS: Final = 64  # where each operation takes as long as it may
_LIMITS: Final = CallLimits(
    deadline_seconds=3.0,
    attempts=2,
    first_pause_seconds=0.01,
    outages_in_a_row=1_000_000,  # so that each operation meets the fault
)
_SLACK_SECONDS: Final = 1.5  # by which a busy machine may be late
_RECOVERY_SECONDS: Final = 20.0
_KEYS: Final = 6


def bound(number: int) -> Binding:
    return Binding(bytes(16), "orders", "encryption", "data", "AES-256-GCM", number, b"12345678")


def material(number: int) -> bytes:
    return bytes([number]) * 32


@dataclass
class Seen:
    """What came of the operations."""

    outcomes: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    wrapped: list[tuple[int, bytes]] = field(default_factory=list)


class Side:
    """A custodian behind the proxy, with keys that it wrapped before."""

    def __init__(self, environment: dict[str, str], proxy: FaultProxy | None, server: Any) -> None:
        settings = load_settings(environ=environment)
        scheme = scheme_of(settings)
        assert isinstance(scheme, RemoteScheme)
        self.proxy = proxy
        self.server = server
        self.environment = environment
        self.custodian = RemoteCustodian(
            lambda: scheme.connect(settings, build_policy(settings)), _LIMITS
        )
        self.kek_id = self.custodian.newest_id()
        items = [(material(number), bound(number)) for number in range(_KEYS)]
        self.wrapped = self.custodian.wrap_many(self.kek_id, items)

    def unwrap(self, number: int, wrapped: bytes) -> bytes:
        return bytes(self.custodian.unwrap_many(self.kek_id, [(wrapped, bound(number))])[0])

    def once(self, number: int, seen: Seen) -> str:
        """One operation: a key is unwrapped, and of ten one is wrapped."""
        key = number % _KEYS
        if number % 10 == 9:
            made = self.custodian.wrap_many(self.kek_id, [(material(key), bound(key))])[0]
            seen.wrapped.append((key, made))
            return "right"
        return "right" if self.unwrap(key, self.wrapped[key]) == material(key) else "WRONG"

    def operate(self, operations: int = OPERATIONS, threads_at_once: int = _THREADS) -> Seen:
        """That many operations, from several threads."""
        seen, numbers, lock = Seen(), iter(range(operations)), threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                begun = time.monotonic()
                try:
                    outcome = self.once(number, seen)
                except MfnError as error:
                    outcome = type(error).__name__
                took = time.monotonic() - begun
                with lock:
                    seen.outcomes[outcome] += 1
                    seen.longest = max(seen.longest, took)

        threads = [threading.Thread(target=work) for _ in range(threads_at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen.outcomes.total() == operations
        return seen

    def recovers(self) -> None:
        """All keys unwrap again, those that were made meanwhile among them."""
        end = time.monotonic() + _RECOVERY_SECONDS
        while True:
            try:
                self.unwrap(0, self.wrapped[0])
                self.custodian.wrap_many(self.kek_id, [(material(0), bound(0))])
                break
            except MfnError:
                assert time.monotonic() < end
                time.sleep(0.1)

    def close(self) -> None:
        self.custodian.close()


def meets(
    side: Side,
    caplog: pytest.LogCaptureFixture,
    allowed: type[MfnError],
    cause: str,
    *mixed_up: str,
) -> Callable[[], None]:
    """Operate under the fault that is on; what is returned is called once it is over."""
    caplog.clear()
    is_slow = side.proxy is not None and side.proxy.mode.kind in {"trickle", "delay"}
    seen = side.operate(OPERATIONS, _MANY_THREADS if is_slow else _THREADS)
    told = {allowed.__name__, *mixed_up}
    assert set(seen.outcomes) <= told, seen.outcomes
    assert seen.longest < _LIMITS.deadline_seconds + _SLACK_SECONDS
    errors = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    if not mixed_up:  # each of two permissions may be missing, which are two causes
        assert len(errors) in ((1, 2) if allowed is CustodianDeniedError else (1,)), errors
    for line in errors:
        assert re.search(cause, line), line

    def over() -> None:
        side.recovers()
        for key, made in seen.wrapped:
            assert side.unwrap(key, made) == material(key)
        said = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
        assert said == errors  # no further one
        ends = [each for each in caplog.records if re.search("again|no more", each.getMessage())]
        assert len(ends) == 1 or mixed_up

    return over


@contextlib.contextmanager
def mode(side: Side, of: Mode) -> Iterator[None]:
    """The proxy does that within the block."""
    assert side.proxy is not None
    side.proxy.mode = of
    try:
        yield
    finally:
        side.proxy.mode = faults.PASS


# Vault ----------------------------------------------------------------------------------------


def context(pair: Pair, folder: Path) -> ssl.SSLContext:
    pair.write(folder)
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(folder / "server.pem", folder / "server.key")
    return made


@pytest.fixture(scope="module")
def vault_server() -> Iterator[Any]:
    """An OpenBao of this file's own, which it seals and restarts."""
    made = new_harness("vault")
    made.make_key()
    yield made
    made.close()


@pytest.fixture
def vault(vault_server: Any, tmp_path: Path) -> Iterator[Side]:
    """A custodian whose way to it leads through the proxy, over TLS on both sides."""
    authority: Authority = vault_server.bao.authority
    trust = ssl.create_default_context(cadata=authority.pem.decode())
    shown = context(authority.issue(), tmp_path)
    with FaultProxy(vault_server.bao.address, shown, trust) as proxy:
        environment = vault_server.environment(tmp_path / "home")
        side = Side({**environment, "MFN_VAULT_ADDR": proxy.url}, proxy, vault_server)
        yield side
        side.close()


_OUT: Final = CustodianUnavailableError
# What comes twice for another request than was made looks as a row does that was edited.
_MIXED_UP: Final = ("right", "StoreIntegrityError")
_NETWORK: Final[dict[str, tuple[Mode, str]]] = {
    "refused": (faults.REFUSE, "refused|cannot be reached"),
    "reset": (faults.RESET, "broke|breaks off|cannot be reached"),
    "truncated": (faults.TRUNCATE, "broke|breaks off|cannot be reached|without what"),
    "trickling": (faults.TRICKLE, "in time|within 3 seconds|as many wait"),
    "late": (faults.delay(30.0), "in time|within 3 seconds|as many wait"),
    "nonsense": (faults.NONSENSE, "broke|no HTTP|breaks off|cannot be (used|reached|asked)"),
    "no JSON": (faults.garbage(b"<html>"), "no JSON|cannot be (used|asked)|without what was asked"),
    "another JSON": (faults.garbage(b'{"data": 1}'), "cannot be used|answers|describes its key"),
    "429": (faults.status(429), "limits how often|too often"),
    "500": (faults.status(500), "fails, with status 500|does not serve|cannot be used"),
    "503": (faults.status(503), "sealed|does not serve|cannot be used"),
    "473": (faults.status(473), "standby|refuses a request"),
}


@pytest.mark.parametrize("fault", list(_NETWORK))
def test_vault_behind_a_bad_network(
    vault: Side, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is an outage, however it looks, and none of them is tampering."""
    doing, cause = _NETWORK[fault]
    with mode(vault, doing):
        over = meets(vault, caplog, _OUT, cause)
    over()


def test_vault_answers_403(vault: Side, caplog: pytest.LogCaptureFixture) -> None:
    """That is a refusal: nobody tries again."""
    assert vault.proxy is not None
    with mode(vault, faults.status(403)):
        over = meets(vault, caplog, CustodianDeniedError, "does not accept the token|refuses")
    over()


def test_vault_whose_answers_are_mixed_up(vault: Side, caplog: pytest.LogCaptureFixture) -> None:
    """Each belongs to another request; no key is taken for another."""
    with mode(vault, faults.SWAP):
        over = meets(vault, caplog, _OUT, "not asked|cannot be used|answers|describes", *_MIXED_UP)
    over()


@pytest.mark.parametrize("whose", ["expired", "another's"])
def test_vault_with_a_certificate_that_does_not_verify(
    vault: Side, whose: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is sent to it."""
    proxy = vault.proxy
    assert proxy is not None
    authority: Authority = vault.server.bao.authority
    if whose == "expired":
        bad = authority.issue(begins=timedelta(hours=-2), after=timedelta(hours=-1))
    else:
        bad = Authority().issue()
    good, proxy.tls = proxy.tls, context(bad, tmp_path)
    proxy.cut()
    asked = proxy.requests
    over = meets(vault, caplog, _OUT, "certificate")
    assert proxy.requests == asked
    proxy.tls = good
    over()


def test_vault_that_is_sealed(vault: Side, caplog: pytest.LogCaptureFixture) -> None:
    """By an operator, who unseals it."""
    vault.server.bao.seal()
    over = meets(vault, caplog, _OUT, "sealed")
    vault.server.bao.unseal()
    over()


def test_vault_is_restarted(vault: Side, caplog: pytest.LogCaptureFixture) -> None:
    """And unsealed; all keys are there."""
    vault.server.stop()
    # The proxy stands between: to the custodian a connection breaks.
    over = meets(vault, caplog, _OUT, "broke|refused")
    vault.server.start()
    over()


def test_vault_whose_token_expired(vault: Side, caplog: pytest.LogCaptureFixture) -> None:
    """A new one is written into its file, as an agent does."""
    bao = vault.server.bao
    file = vault.environment["MFN_VAULT_TOKEN_FILE"]
    with open(file) as opened:
        bao.asked("POST", "auth/token/revoke", {"token": opened.read().strip()})
    over = meets(vault, caplog, CustodianDeniedError, "token")
    vault.server.token = bao.token("mfn", period="24h")
    with open(file, "w") as opened:
        opened.write(vault.server.token)
    over()


def test_vault_whose_policy_permits_nothing(vault: Side, caplog: pytest.LogCaptureFixture) -> None:
    """Until it does again."""
    vault.server.disable()
    over = meets(vault, caplog, CustodianDeniedError, "policy")
    vault.server.enable()
    over()


def test_vault_whose_version_is_disabled(vault: Side, caplog: pytest.LogCaptureFixture) -> None:
    """By its min_decryption_version."""
    bao, path = vault.server.bao, "transit/keys/mycelium-fractal-net"
    vault.server.rotate()
    number = int(vault.kek_id.rpartition(":v")[2])
    bao.asked("POST", f"{path}/config", {"min_decryption_version": number + 1})
    over = meets(vault, caplog, CustodianDeniedError, "min_(de|en)cryption_version|disabled")
    bao.asked("POST", f"{path}/config", {"min_decryption_version": 1})
    over()


# AWS KMS --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kms_server() -> Iterator[Any]:
    """A KMS of this file's own."""
    made = new_harness("aws-kms")
    made.make_key()
    yield made
    made.close()


@pytest.fixture
def kms(kms_server: Any, tmp_path: Path) -> Iterator[Side]:
    """A custodian whose way to it leads through the proxy."""
    environment = kms_server.environment(tmp_path / "home")
    with FaultProxy(kms_server.url) as proxy:
        side = Side({**environment, "MFN_AWS_ENDPOINT_URL": proxy.url}, proxy, kms_server)
        yield side
        side.close()


@pytest.mark.parametrize("fault", [each for each in _NETWORK if each != "473"])
def test_kms_behind_a_bad_network(kms: Side, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each is an outage, however it looks, and none of them is tampering."""
    doing, cause = _NETWORK[fault]
    with mode(kms, doing):
        over = meets(kms, caplog, _OUT, cause)
    over()


_CODES: Final[dict[str, tuple[int, type[MfnError], str]]] = {
    "ThrottlingException": (400, _OUT, "too often"),
    "KMSInternalException": (500, _OUT, "does not serve"),
    "AccessDeniedException": (400, CustodianDeniedError, "no permission"),
    "ExpiredTokenException": (400, CustodianDeniedError, "expired"),
    "UnrecognizedClientException": (400, CustodianDeniedError, "know the credentials"),
    "SomethingElse": (403, CustodianDeniedError, "HTTP 403"),
}


@pytest.mark.parametrize("code", list(_CODES))
def test_kms_answers_an_error(kms: Side, code: str, caplog: pytest.LogCaptureFixture) -> None:
    """By its code, as AWS writes it."""
    status, error, cause = _CODES[code]
    with mode(kms, faults.status(status, {"__type": code, "message": "secret"})):
        over = meets(kms, caplog, error, cause)
    assert "secret" not in caplog.text
    over()


def test_kms_whose_answers_are_mixed_up(kms: Side, caplog: pytest.LogCaptureFixture) -> None:
    """Each belongs to another request; no key is taken for another."""
    with mode(kms, faults.SWAP):
        over = meets(kms, caplog, _OUT, "not asked|cannot be used|answers|describes", *_MIXED_UP)
    over()


def test_kms_with_a_disabled_key(kms: Side, caplog: pytest.LogCaptureFixture) -> None:
    """Until it is enabled."""
    kms.server.disable()
    over = meets(kms, caplog, CustodianDeniedError, "disabled")
    kms.server.enable()
    over()


def test_kms_with_a_key_that_is_to_be_deleted(kms: Side, caplog: pytest.LogCaptureFixture) -> None:
    """Until that is cancelled."""
    client = kms.server.client
    arn = kms.server.arn.rpartition("/")[2]  # which moto takes here
    client.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    over = meets(kms, caplog, CustodianDeniedError, "to be deleted")
    client.cancel_key_deletion(KeyId=arn)
    client.enable_key(KeyId=arn)
    over()


# PKCS#11 --------------------------------------------------------------------------------------


@pytest.fixture
def token(tmp_path: Path) -> Iterator[Side]:
    """A custodian on a token of its own."""
    server = new_harness("pkcs11")
    server.make_key()
    side = Side(server.environment(tmp_path / "home"), None, server)
    yield side
    side.close()
    server.close()


def test_a_token_that_is_taken_out(token: Side, caplog: pytest.LogCaptureFixture) -> None:
    """And put back."""
    token.server.stop()
    over = meets(token, caplog, _OUT, "token")
    token.server.start()
    over()


def test_a_token_whose_key_is_disabled(token: Side, caplog: pytest.LogCaptureFixture) -> None:
    """It neither encrypts nor decrypts, until it may again."""
    token.server.disable()
    over = meets(token, caplog, CustodianDeniedError, "key")
    token.server.enable()
    over()


def test_no_operation_fails_where_nothing_is_wrong(
    vault: Side, kms: Side, token: Side, caplog: pytest.LogCaptureFixture
) -> None:
    """What is seen above is of the faults."""
    for side in (vault, kms, token):
        seen = side.operate(min(OPERATIONS, 200))
        assert set(seen.outcomes) == {"right"}, (seen.outcomes, MasterKeyError)
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]
