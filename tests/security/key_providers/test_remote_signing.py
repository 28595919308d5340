"""Signing keys that stay on another machine, as :class:`RemoteCustodian` reaches them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.blocking import WouldAskError, WouldBlockError
from mycelium_fractal_net.security.errors import CustodianDeniedError, CustodianUnavailableError
from mycelium_fractal_net.security.key_providers import (
    Binding,
    LocalCustodian,
    SigningCustodian,
    SigningKeyReference,
    signing_key_name,
)
from mycelium_fractal_net.security.key_providers.call_statistics import Outcome
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey
from tests.support.custodian import KEK_ID, QUICK, Elsewhere, ElsewhereOfMany

if TYPE_CHECKING:
    from pathlib import Path


def bound(handle: bytes = b"12345678") -> Binding:
    return Binding(bytes(16), "release", "signing", "data", "Ed25519", 1, handle)


@pytest.fixture
def other(tmp_path: Path) -> Elsewhere:
    """A machine that answers."""
    Elsewhere.create(tmp_path / "elsewhere")
    return Elsewhere(tmp_path / "elsewhere")


@pytest.fixture
def custodian(other: Elsewhere) -> RemoteCustodian:
    """What a store has of it."""
    return RemoteCustodian(lambda: other, QUICK)


def is_now(other: Elsewhere, mode: str) -> None:
    (other.folder / "mode").write_text(mode)


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384"])
def test_a_key_signs_where_it_was_made(
    custodian: RemoteCustodian, other: Elsewhere, algorithm: str
) -> None:
    """It is named by the store and the handle; what it signs its public key verifies here."""
    assert isinstance(custodian, SigningCustodian)
    assert algorithm in custodian.signing_algorithms
    made = custodian.create_signing_key(algorithm, bound())
    assert made.reference == signing_key_name(bound()) == "mfn-signing-00000000-3132333435363738"
    signature = custodian.sign(made.reference, algorithm, b"data")
    VerifyingKey.from_der(made.public_key).verify(b"data", signature)
    assert custodian.signing_public_key(made.reference) == made.public_key
    for _ in range(2):  # gone once, and once more
        custodian.destroy_signing_key(made.reference)
    with pytest.raises(CustodianDeniedError, match="no such key"):
        custodian.sign(made.reference, algorithm, b"data")


def test_a_custodian_that_does_not_sign_says_so(tmp_path: Path) -> None:
    """By having no algorithm."""
    LocalCustodian.create(tmp_path / "master.key", Policy())
    custodian = RemoteCustodian(lambda: LocalCustodian(tmp_path / "master.key", Policy()), QUICK)
    assert custodian.signing_algorithms == frozenset()


def test_a_signature_is_asked_for_again_and_a_key_is_not(
    custodian: RemoteCustodian, other: Elsewhere
) -> None:
    """Of an answer that was lost nobody knows whether the key was made."""
    made = custodian.create_signing_key("Ed25519", bound())
    is_now(other, "down")
    other.calls.clear()
    with pytest.raises(CustodianUnavailableError):
        custodian.sign(made.reference, "Ed25519", b"data")
    with pytest.raises(CustodianUnavailableError):
        custodian.create_signing_key("Ed25519", bound(b"87654321"))
    assert other.calls == ["sign", "sign", "create"]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        ("name", b"key"),
        SigningKeyReference("", b"key"),
        SigningKeyReference("n" * 513, b"key"),
        SigningKeyReference("näme", b"key"),
        SigningKeyReference("line\n", b"key"),
        SigningKeyReference("name", b""),
    ],
)
def test_an_answer_without_a_key_is_an_outage(
    custodian: RemoteCustodian, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    """Nothing is taken from it."""
    monkeypatch.setattr(Elsewhere, "create_signing_key", lambda *_: answer)
    with pytest.raises(CustodianUnavailableError, match="cannot be used"):
        custodian.create_signing_key("Ed25519", bound())


@pytest.mark.parametrize("answer", [None, b"", "text"])
def test_an_answer_without_bytes_is_an_outage(
    custodian: RemoteCustodian, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    """Of a signature, and of a public key."""
    for name in ("sign", "signing_public_key"):
        monkeypatch.setattr(Elsewhere, name, lambda *_: answer)
    with pytest.raises(CustodianUnavailableError, match="cannot be used"):
        custodian.sign("name", "Ed25519", b"data")
    with pytest.raises(CustodianUnavailableError, match="cannot be used"):
        custodian.signing_public_key("name")


def test_signatures_under_way_keep_no_key_from_being_unwrapped(other: Elsewhere) -> None:
    """Each has slots of its own."""
    limits = replace(QUICK, attempts=1, signing_threads=1, outages_in_a_row=100)
    custodian = RemoteCustodian(lambda: other, limits)
    made = custodian.create_signing_key("Ed25519", bound())
    sealed = custodian.wrap_many(KEK_ID, [(b"k" * 32, bound())])[0]
    is_now(other, "0.8")
    signing = threading.Thread(
        target=custodian.sign, args=(made.reference, "Ed25519", b"the first")
    )
    signing.start()
    time.sleep(0.2)
    is_now(other, "up")
    assert custodian.unwrap_many(KEK_ID, [(sealed, bound())]) == [b"k" * 32]
    assert signing.is_alive()
    signing.join()


def test_signatures_that_are_wanted_at_once_are_one_request(tmp_path: Path) -> None:
    """Each gets that of its own message, and one call is counted for those that went together."""
    Elsewhere.create(tmp_path / "elsewhere")
    other = ElsewhereOfMany(tmp_path / "elsewhere")
    custodian = RemoteCustodian(lambda: other, QUICK)
    made = custodian.create_signing_key("Ed25519", bound())
    public = VerifyingKey.from_der(made.public_key)
    messages = [f"message {number}".encode() for number in range(40)]
    with ThreadPoolExecutor(20) as pool:
        signed = list(
            pool.map(lambda each: custodian.sign(made.reference, "Ed25519", each), messages)
        )
    for message, signature in zip(messages, signed, strict=True):
        public.verify(message, signature)
    asked = custodian.statistics().calls["sign", Outcome.OK]
    sizes = [int(each.split()[1]) for each in other.calls if each.startswith("sign ")]
    assert sum(sizes) == len(messages)
    assert asked == len(sizes) < len(messages)


@pytest.mark.parametrize(
    ("mode", "error"), [("nonsense", CustodianUnavailableError), ("denied", CustodianDeniedError)]
)
def test_a_request_for_many_signatures_fails_as_one_does(
    tmp_path: Path, mode: str, error: type[Exception]
) -> None:
    """Within the attempts, and with the error, of a single one."""
    Elsewhere.create(tmp_path / "elsewhere")
    other = ElsewhereOfMany(tmp_path / "elsewhere")
    custodian = RemoteCustodian(lambda: other, QUICK)
    made = custodian.create_signing_key("Ed25519", bound())
    is_now(other, mode)
    with pytest.raises(error):
        custodian.sign(made.reference, "Ed25519", b"data")


@pytest.mark.parametrize("kind", [Elsewhere, ElsewhereOfMany])
def test_a_thread_that_must_not_wait_is_refused(tmp_path: Path, kind: type[Elsewhere]) -> None:
    """The service's event loop asks nobody, and the threads for the store ask for no signature."""
    Elsewhere.create(tmp_path / "elsewhere")
    other = kind(tmp_path / "elsewhere")
    custodian = RemoteCustodian(lambda: other, QUICK)
    made = custodian.create_signing_key("Ed25519", bound())
    with blocking.refusing(), pytest.raises(WouldBlockError):
        custodian.sign(made.reference, "Ed25519", b"data")
    caught: list[BaseException] = []

    def in_store_thread() -> None:
        blocking.refuse_to_ask_in_this_thread()
        try:
            custodian.sign(made.reference, "Ed25519", b"data")
        except WouldAskError as error:
            caught.append(error)
        blocking.allow_in_this_thread()
        custodian.sign(made.reference, "Ed25519", b"data")

    thread = threading.Thread(target=in_store_thread)
    thread.start()
    thread.join()
    assert len(caught) == 1
