"""Signing keys that AWS KMS makes and keeps: ECDSA on moto's server, Ed25519 on ministack's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    InvalidSignatureError,
)
from mycelium_fractal_net.security.key_providers.aws_kms import (
    AWSKMSCustodian,
    KmsPlace,
    making,
)
from mycelium_fractal_net.security.key_providers.custodian import signing_key_name
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from mycelium_fractal_net.security.policy import Policy
from tests.security.key_providers.aws_kms.conftest import STORE_ID, bound
from tests.support.custodians.aws_kms import REGION
from tests.support.custodians.ministack import _ministack, ministack

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.custodians.aws_kms import AWSKMSHarness
    from tests.support.custodians.ministack import Ministack

__all__ = ["_ministack", "ministack"]

MESSAGE = b"a release" * 100


def verified(algorithm: str, public_key: bytes, signature: bytes, message: bytes) -> None:
    """Verify it as the library does."""
    key = Policy().verifying_key(public_key)
    assert key.algorithm == algorithm
    key.verify(message, signature)


@pytest.fixture
def elsewhere(ministack: Ministack) -> AWSKMSCustodian:
    """A custodian whose KMS knows Ed25519."""
    made = ministack.client.create_key(KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
    return AWSKMSCustodian(KmsPlace(made, endpoint_url=ministack.url))


@pytest.mark.parametrize("algorithm", ["ECDSA-P256", "ECDSA-P384"])
def test_ecdsa_is_hashed_here_and_signed_there(
    remote: RemoteCustodian, kms: AWSKMSHarness, algorithm: str
) -> None:
    """And verified with the public key that KMS gave."""
    made = remote.create_signing_key(algorithm, bound())
    signature = remote.sign(made.reference, algorithm, MESSAGE)
    verified(algorithm, made.public_key, signature, MESSAGE)
    with pytest.raises(InvalidSignatureError):
        verified(algorithm, made.public_key, signature, MESSAGE + b"!")
    assert remote.signing_public_key(made.reference) == made.public_key
    remote.destroy_signing_key(made.reference)


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384"])
def test_another_kms_signs_the_same(elsewhere: AWSKMSCustodian, algorithm: str) -> None:
    """Ed25519 takes the message itself, of at most 4,096 bytes."""
    remote = RemoteCustodian(lambda: elsewhere)
    assert algorithm in remote.signing_algorithms
    made = remote.create_signing_key(algorithm, bound())
    message = b"m" * 4096
    verified(algorithm, made.public_key, remote.sign(made.reference, algorithm, message), message)


def test_a_key_says_whose_it_is(custodian: AWSKMSCustodian, kms: AWSKMSHarness) -> None:
    """By its description and its tags, so that a policy and a person can tell."""
    binding = bound(3, "release")
    made = custodian.create_signing_key("ECDSA-P256", binding)
    described = kms.client.describe_key(KeyId=made.reference)["KeyMetadata"]
    assert described["Description"].startswith(f"{signing_key_name(binding)}: release:v3 ")
    tags = kms.client.list_resource_tags(KeyId=made.reference)["Tags"]
    assert {each["TagKey"]: each["TagValue"] for each in tags} == {
        "mfn-name": signing_key_name(binding),
        "mfn-store": STORE_ID.hex(),
        "mfn-key": "release",
        "mfn-version": "3",
    }


def test_a_key_is_destroyed_after_the_shortest_wait(
    custodian: AWSKMSCustodian, kms: AWSKMSHarness
) -> None:
    """It signs no more at once; to destroy it again, or one that is gone, changes nothing."""
    made = custodian.create_signing_key("ECDSA-P256", bound())
    custodian.destroy_signing_key(made.reference)
    described = kms.client.describe_key(KeyId=made.reference)["KeyMetadata"]
    waits = described["DeletionDate"] - described["CreationDate"]
    assert 6 <= waits.days <= 7
    with pytest.raises(CustodianDeniedError, match="to be deleted"):
        custodian.sign(made.reference, "ECDSA-P256", MESSAGE)
    kms.requests()
    custodian.destroy_signing_key(made.reference)
    custodian.destroy_signing_key(f"{made.reference[:-12]}{'0' * 12}")
    assert kms.requests() == {"DescribeKey": 2}


def test_a_key_that_is_gone_is_refused_and_no_outage(
    custodian: AWSKMSCustodian, kms: AWSKMSHarness
) -> None:
    """As after the wait."""
    gone = f"{kms.arn[:-12]}{'0' * 12}"
    with pytest.raises(CustodianDeniedError, match="any more"):
        custodian.sign(gone, "ECDSA-P256", MESSAGE)


@pytest.mark.parametrize("call", ["sign", "signing_public_key", "destroy_signing_key"])
@pytest.mark.parametrize(
    "change",
    [
        lambda arn: arn.replace("arn:aws:", "arn:aws-cn:"),
        lambda arn: arn.replace(REGION, "us-east-1"),
        lambda arn: arn.replace("123456789012", "999999999999"),
        lambda arn: "alias/release",
        lambda arn: f"{arn}/../x",
        lambda arn: "",
        lambda arn: None,  # the master key itself
    ],
)
def test_a_reference_names_nothing_but_a_signing_key_of_the_account(
    custodian: AWSKMSCustodian,
    kms: AWSKMSHarness,
    call: str,
    change: Callable[[str], str | None],
) -> None:
    """Though the record that has it was authenticated."""
    arn = kms.arn
    reference = change(f"{arn[:-12]}{'0' * 12}")
    more = ["ECDSA-P256", MESSAGE] if call == "sign" else []
    kms.requests()
    with pytest.raises(CustodianDeniedError, match="account and region"):
        getattr(custodian, call)(arn if reference is None else reference, *more)
    assert kms.requests() == {}


def test_a_key_whose_public_key_never_comes_is_given_back(
    custodian: AWSKMSCustodian, kms: AWSKMSHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would find it: no record names it."""
    monkeypatch.setattr(making, "_UNKNOWN_SECONDS", (0.0,))
    arn = kms.client.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"][
        "Arn"
    ]
    with Stubber(custodian.kms._client) as stub:
        stub.add_response("create_key", {"KeyMetadata": {"KeyId": "k", "Arn": arn}})
        for code in ("NotFoundException", "KMSInternalException"):
            stub.add_client_error("get_public_key", code)
        stub.add_response("schedule_key_deletion", {"KeyId": arn})
        with pytest.raises(CustodianUnavailableError):
            custodian.create_signing_key("ECDSA-P256", bound())
        stub.assert_no_pending_responses()


def test_what_is_left_over_is_found_by_its_tags(
    custodian: AWSKMSCustodian, kms: AWSKMSHarness
) -> None:
    """Of the store's keys but for those that wait for their deletion; where it is asked for."""
    made, going = (custodian.create_signing_key("ECDSA-P256", bound(n)).reference for n in (7, 8))
    custodian.destroy_signing_key(going)
    assert custodian.list_signing_keys(STORE_ID, (), thorough=False) is None
    found = custodian.list_signing_keys(STORE_ID, {kms.arn, "arn:gone"}, thorough=True)
    assert found is not None
    assert {made, kms.arn} <= found
    assert not {going, "arn:gone"} & found
    assert custodian.list_signing_keys(b"x" * 16, (), thorough=True) == frozenset()
    custodian.destroy_signing_key(made)


def test_a_list_is_read_to_its_end_and_keys_of_others_are_passed_over(
    custodian: AWSKMSCustodian, kms: AWSKMSHarness
) -> None:
    """A page has a thousand; whose tags may not be read is none of ours."""
    arns = [f"{kms.arn[:-12]}{number:012}" for number in range(2)]
    with Stubber(custodian.kms._client) as stub:
        page = {"Keys": [{"KeyId": "k", "KeyArn": arns[0]}], "Truncated": True, "NextMarker": "m"}
        stub.add_response("list_keys", page, {"Limit": 1000})
        page = {"Keys": [{"KeyId": "k", "KeyArn": arns[1]}], "Truncated": False}
        stub.add_response("list_keys", page, {"Limit": 1000, "Marker": "m"})
        stub.add_client_error("list_resource_tags", "AccessDeniedException")
        found = custodian.list_signing_keys(STORE_ID, {arns[0]}, thorough=True)
    assert found == frozenset(arns[:1])


def test_a_new_key_may_be_unknown_for_a_moment(
    custodian: AWSKMSCustodian, kms: AWSKMSHarness
) -> None:
    """KMS is consistent some seconds later."""
    arn = f"{kms.arn[:-12]}{'0' * 12}"
    with Stubber(custodian.kms._client) as stub:
        stub.add_response("create_key", {"KeyMetadata": {"KeyId": "k", "Arn": arn}})
        stub.add_client_error("get_public_key", "NotFoundException")
        stub.add_response("get_public_key", {"KeyId": arn, "PublicKey": b"spki"})
        made = custodian.create_signing_key("ECDSA-P256", bound())
    assert made == (arn, b"spki")


def test_an_answer_of_another_key_is_not_used(
    custodian: AWSKMSCustodian, kms: AWSKMSHarness
) -> None:
    """Nor one that says nothing."""
    arn = f"{kms.arn[:-12]}{'0' * 12}"

    def answering(operation: str, answer: dict[str, Any], call: Callable[[], object]) -> None:
        with Stubber(custodian.kms._client) as stub:
            if operation == "schedule_key_deletion":
                stub.add_response("describe_key", {"KeyMetadata": {"KeyId": "k"}})
            stub.add_response(operation, answer)
            with pytest.raises(CustodianUnavailableError):
                call()

    answering(
        "sign",
        {"KeyId": kms.arn, "Signature": b"?"},
        lambda: custodian.sign(arn, "ECDSA-P256", MESSAGE),
    )
    answering("schedule_key_deletion", {}, lambda: custodian.destroy_signing_key(arn))
