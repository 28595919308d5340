"""Keys wrapped by the key in AWS KMS, on moto's server."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    CustodianDeniedError,
    CustodianUnavailableError,
    InvalidInputError,
    MasterKeyError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import SigningCustodian
from mycelium_fractal_net.security.key_providers.aws_kms.context import encryption_context
from tests.security.key_providers.aws_kms.conftest import MATERIAL, STORE_ID, bound
from tests.support.custodians.aws_kms import ALIAS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers.aws_kms import AWSKMSCustodian
    from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
    from tests.support.custodians.aws_kms import AWSKMSHarness


def test_what_was_wrapped_is_unwrapped(remote: RemoteCustodian, kms: AWSKMSHarness) -> None:
    """In order, and a request for each."""
    items = [(bytes([number]) * 32, bound(number)) for number in range(1, 21)]
    wrapped = remote.wrap_many(remote.newest_id(), items)
    kms.requests()
    found = remote.unwrap_many(
        remote.newest_id(), [(each, to) for each, (_, to) in zip(wrapped, items, strict=True)]
    )
    assert found == [material for material, _ in items]
    assert kms.requests() == {"Decrypt": 20}
    assert MATERIAL not in b"".join(wrapped)


def test_it_is_named_by_its_arn_without_the_region(
    custodian: AWSKMSCustodian, kms: AWSKMSHarness
) -> None:
    """Whether it was configured by alias, id or ARN."""
    account, key = kms.arn.split(":")[4:]
    assert custodian.newest_id() == f"aws-kms:arn:aws:kms::{account}:{key}"
    assert custodian.holds(custodian.newest_id())
    assert not custodian.holds(f"aws-kms:{kms.arn}")
    assert isinstance(custodian, SigningCustodian)


@pytest.mark.parametrize("by", ["id", "ARN", "ARN of the alias"])
def test_a_key_is_found_by_each_of_its_names(
    opened: Callable[..., AWSKMSCustodian], kms: AWSKMSHarness, by: str
) -> None:
    """And is the same master key."""
    arn = kms.arn
    named = {
        "id": arn.rpartition("/")[2],
        "ARN": arn,
        "ARN of the alias": arn.rpartition(":")[0] + f":{ALIAS}",
    }[by]
    region = {"region": None} if "ARN" in by else {}
    assert opened(named, **region).newest_id() == opened().newest_id()


def test_new_key_material_changes_no_name(remote: RemoteCustodian, kms: AWSKMSHarness) -> None:
    """What was wrapped before opens after it."""
    before = remote.wrap_many(remote.newest_id(), [(MATERIAL, bound())])
    kms.rotate()
    assert remote.unwrap_many(remote.newest_id(), [(before[0], bound())]) == [MATERIAL]


def test_it_is_wrapped_anew_on_the_other_side(remote: RemoteCustodian, kms: AWSKMSHarness) -> None:
    """ReEncrypt, a request for each; what comes back is opened before it takes the place."""
    name = remote.newest_id()
    before = remote.wrap_many(name, [(MATERIAL, bound(1)), (MATERIAL, bound(2))])
    kms.requests()
    after = remote.rewrap_many(name, name, [(before[0], bound(1)), (before[1], bound(2))])
    assert kms.requests()["ReEncrypt"] == 2
    assert after != before
    assert remote.unwrap_many(name, [(after[1], bound(2))]) == [MATERIAL]


@pytest.mark.parametrize("call", ["unwrap", "rewrap"])
def test_another_binding_is_refused(custodian: AWSKMSCustodian, call: str) -> None:
    """By KMS itself, which was given it as encryption context."""
    name = custodian.newest_id()
    (wrapped,) = custodian.wrap_many(name, [(MATERIAL, bound(1))])
    with pytest.raises(StoreIntegrityError):
        if call == "unwrap":
            custodian.unwrap_many(name, [(wrapped, bound(2))])
        else:
            custodian.rewrap_many(name, name, [(wrapped, bound(2))])


def test_a_row_that_was_edited_is_named(remote: RemoteCustodian) -> None:
    """One of many, of which the others open."""
    name = remote.newest_id()
    items = [(MATERIAL, bound(number)) for number in (1, 2, 3)]
    first, second, third = remote.wrap_many(name, items)
    edited = second[:-1] + bytes([second[-1] ^ 1])
    with pytest.raises(StoreIntegrityError, match="version 2 of key 'orders'"):
        remote.unwrap_many(name, [(first, bound(1)), (edited, bound(2)), (third, bound(3))])


def test_what_another_key_wrapped_is_refused(
    opened: Callable[..., AWSKMSCustodian], custodian: AWSKMSCustodian, kms: AWSKMSHarness
) -> None:
    """KMS is told which key it must be; a ciphertext names its own."""
    other = kms.client.create_key()["KeyMetadata"]["Arn"]
    theirs = opened(other)
    wrapped = theirs.wrap_many(theirs.newest_id(), [(MATERIAL, bound())])
    with pytest.raises(StoreIntegrityError):
        custodian.unwrap_many(custodian.newest_id(), [(wrapped[0], bound())])


@pytest.mark.parametrize("call", ["wrap_many", "unwrap_many", "rewrap_many"])
def test_no_row_has_another_key_asked(
    custodian: AWSKMSCustodian, kms: AWSKMSHarness, call: str
) -> None:
    """The name of a master key in a row is compared, and never sent."""
    other = "aws-kms:arn:aws:kms::999999999999:key/00000000-0000-0000-0000-000000000000"
    names = [custodian.newest_id(), other] if call == "rewrap_many" else [other]
    kms.requests()
    with pytest.raises(MasterKeyError, match="not one that is configured"):
        getattr(custodian, call)(*names, [(MATERIAL, bound())])
    assert kms.requests() == {}


def test_the_context_can_be_read() -> None:
    """In CloudTrail, and in a policy's condition; its names are part of the format."""
    assert encryption_context(bound(7)) == {
        "mfn-store": STORE_ID.hex(),
        "mfn-key": "orders",
        "mfn-type": "encryption",
        "mfn-use": "data",
        "mfn-algorithm": "AES-256-GCM",
        "mfn-version": "7",
        "mfn-handle": b"12345678".hex(),
    }


def test_a_context_holds_8192_bytes() -> None:
    """KMS refuses more with an error that names no key."""
    spare = 8192 - sum(
        len(name) + len(value) for name, value in encryption_context(bound()).items()
    )
    encryption_context(bound(key_id="orders" + "s" * spare))
    with pytest.raises(InvalidInputError, match="8,192"):
        encryption_context(bound(key_id="orders" + "s" * (spare + 1)))


def test_4097_bytes_are_refused_before_they_are_sent(
    custodian: AWSKMSCustodian, kms: AWSKMSHarness
) -> None:
    """KMS takes 4,096."""
    kms.requests()
    custodian.wrap_many(custodian.newest_id(), [(b"k" * 4096, bound())])
    with pytest.raises(InvalidInputError, match="4,096"):
        custodian.wrap_many(custodian.newest_id(), [(b"k" * 4097, bound())])
    assert kms.requests() == {"Encrypt": 1}


def test_a_disabled_key_refuses_and_serves_again(
    remote: RemoteCustodian, kms: AWSKMSHarness
) -> None:
    """Without a restart."""
    name = remote.newest_id()
    (wrapped,) = remote.wrap_many(name, [(MATERIAL, bound())])
    kms.disable()
    try:
        for call in (
            remote.ping,
            lambda: remote.wrap_many(name, [(MATERIAL, bound())]),
            lambda: remote.unwrap_many(name, [(wrapped, bound())]),
            lambda: remote.rewrap_many(name, name, [(wrapped, bound())]),
        ):
            with pytest.raises(CustodianDeniedError, match="AWS KMS refuses"):
                call()
    finally:
        kms.enable()
    remote.ping()
    assert remote.unwrap_many(name, [(wrapped, bound())]) == [MATERIAL]


def test_an_outage_is_no_refusal_and_passes(remote: RemoteCustodian, kms: AWSKMSHarness) -> None:
    """Nobody listens, and then somebody does."""
    kms.stop()
    try:
        with pytest.raises(CustodianUnavailableError, match="cannot be reached"):
            remote.ping()
    finally:
        kms.start()
    remote.ping()


def test_a_key_that_is_not_there_is_told_with_how_to_make_it(
    opened: Callable[..., AWSKMSCustodian],
) -> None:
    """For an alias; the id of a key cannot be chosen."""
    with pytest.raises(MasterKeyError, match=r"has no alias/nobody.*aws kms create-alias"):
        opened("alias/nobody")
    with pytest.raises(MasterKeyError, match="no other key opens") as caught:
        opened("00000000-0000-0000-0000-000000000000")
    assert "create" not in str(caught.value)


def test_a_key_for_something_else_is_refused(
    opened: Callable[..., AWSKMSCustodian], kms: AWSKMSHarness
) -> None:
    """Such as one for signatures."""
    made = kms.client.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    with pytest.raises(ConfigurationError, match="not for encryption"):
        opened(made["KeyMetadata"]["Arn"])


def test_nothing_secret_is_logged(
    custodian: AWSKMSCustodian, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG botocore writes whole requests and answers, with the keys in them."""
    with caplog.at_level(logging.DEBUG):
        wrapped = custodian.wrap_many(custodian.newest_id(), [(MATERIAL, bound())])
        custodian.unwrap_many(custodian.newest_id(), [(wrapped[0], bound())])
        logging.getLogger("botocore.endpoint").debug("of somebody else's")
    assert base64.b64encode(MATERIAL).decode() not in caplog.text
    assert repr(MATERIAL) not in caplog.text
    assert "of somebody else's" in caplog.text


def test_what_cannot_be_used_is_an_outage(custodian: AWSKMSCustodian) -> None:
    """An answer without what was asked, for another key, or without a key at all."""
    name = custodian.newest_id()
    arn = str(custodian._arn)

    def answering(**answer: Any) -> None:
        custodian.kms.ask = lambda *_, **__: answer  # type: ignore[method-assign]

    answering(KeyId=arn)
    with pytest.raises(CustodianUnavailableError, match="without what was asked"):
        custodian.wrap_many(name, [(MATERIAL, bound())])
    answering(KeyId=f"{arn}0", CiphertextBlob=b"?")
    with pytest.raises(CustodianUnavailableError, match="for another key"):
        custodian.wrap_many(name, [(MATERIAL, bound())])
    answering(KeyId=f"{arn}0", Plaintext=b"?")
    with pytest.raises(StoreIntegrityError, match="with another key"):
        custodian.unwrap_many(name, [(b"?", bound())])
    answering()
    with pytest.raises(CustodianUnavailableError, match="without what was asked"):
        custodian.ping()
    with pytest.raises(CustodianUnavailableError, match="without what was asked"):
        custodian.unwrap_many(name, [(b"?", bound())])
