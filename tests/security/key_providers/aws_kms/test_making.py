"""The master key made in AWS KMS, once, and found again."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from botocore.stub import Stubber

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
)
from mycelium_fractal_net.security.key_providers.aws_kms import (
    AWSKMSCustodian,
    KmsClient,
    KmsPlace,
    make_master_key,
    making,
)
from tests.security.key_providers.aws_kms.conftest import MATERIAL, bound
from tests.support.custodians.aws_kms import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.custodians.aws_kms import AWSKMSHarness

ARN = f"arn:aws:kms:{REGION}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def place(kms: AWSKMSHarness) -> KmsPlace:
    """An alias that nobody has."""
    return KmsPlace(f"alias/{secrets.token_hex(8)}", region=REGION, endpoint_url=kms.url)


@pytest.fixture
def client(place: KmsPlace) -> Iterator[KmsClient]:
    """Who makes keys there."""
    made = KmsClient(place)
    yield made
    made.close()


def test_a_key_is_made_once_and_rotates(
    kms: AWSKMSHarness, place: KmsPlace, client: KmsClient
) -> None:
    """It wraps; to make it again changes nothing."""
    make_master_key(client, place)
    custodian = AWSKMSCustodian(place)
    wrapped = custodian.wrap_many(custodian.newest_id(), [(MATERIAL, bound())])
    status = kms.client.get_key_rotation_status(KeyId=str(custodian._arn))
    assert status["KeyRotationEnabled"]
    kms.requests()
    make_master_key(client, place)
    assert kms.requests() == {"DescribeKey": 1}
    again = AWSKMSCustodian(place)
    assert again.unwrap_many(again.newest_id(), [(wrapped[0], bound())]) == [MATERIAL]


def test_the_id_of_a_key_is_not_chosen(kms: AWSKMSHarness, client: KmsClient) -> None:
    """So that one is made under an alias alone."""
    kms.requests()
    with pytest.raises(ConfigurationError, match="alias/NAME"):
        make_master_key(client, KmsPlace(ARN))
    assert kms.requests() == {"DescribeKey": 1}


def test_who_is_second_gives_his_key_back(client: KmsClient, place: KmsPlace) -> None:
    """Two machines that begin at once end with one key."""
    with Stubber(client._client) as stub:
        stub.add_client_error("describe_key", "NotFoundException")
        stub.add_response("create_key", {"KeyMetadata": {"KeyId": "k", "Arn": ARN}})
        stub.add_client_error("create_alias", "AlreadyExistsException")
        stub.add_response("schedule_key_deletion", {"KeyId": ARN})
        stub.add_response("describe_key", {"KeyMetadata": {"KeyId": "k"}})
        make_master_key(client, place)
        stub.assert_no_pending_responses()


@pytest.mark.parametrize("answer", ["deleted", "denied", "nonsense"])
def test_a_key_without_its_alias_is_given_back(
    client: KmsClient, place: KmsPlace, answer: str
) -> None:
    """Nobody would find it; what failed is told, whether or not that goes well."""
    with Stubber(client._client) as stub:
        stub.add_client_error("describe_key", "NotFoundException")
        stub.add_response("create_key", {"KeyMetadata": {"KeyId": "k", "Arn": ARN}})
        stub.add_client_error("create_alias", "AccessDeniedException")
        if answer == "denied":
            stub.add_client_error("schedule_key_deletion", "AccessDeniedException")
        else:
            told = {"KeyId": ARN} if answer == "deleted" else {}
            stub.add_response("schedule_key_deletion", told)
        with pytest.raises(CustodianDeniedError, match="no permission"):
            make_master_key(client, place)
        stub.assert_no_pending_responses()


def test_a_key_may_rotate_by_another_hand(client: KmsClient, place: KmsPlace) -> None:
    """To have AWS rotate it is a permission of its own."""
    with Stubber(client._client) as stub:
        stub.add_client_error("describe_key", "NotFoundException")
        stub.add_response("create_key", {"KeyMetadata": {"KeyId": "k", "Arn": ARN}})
        stub.add_response("create_alias", {})
        stub.add_client_error("enable_key_rotation", "AccessDeniedException")
        stub.add_client_error("describe_key", "NotFoundException")  # consistent a moment later
        stub.add_response("describe_key", {"KeyMetadata": {"KeyId": "k"}})
        make_master_key(client, place)
        stub.assert_no_pending_responses()


def test_what_stays_unknown_is_told(
    client: KmsClient, place: KmsPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some seconds."""
    monkeypatch.setattr(making, "_UNKNOWN_SECONDS", (0.0, 0.0))
    with Stubber(client._client) as stub:
        stub.add_client_error("describe_key", "NotFoundException")
        stub.add_response("create_key", {"KeyMetadata": {"KeyId": "k", "Arn": ARN}})
        stub.add_response("create_alias", {})
        stub.add_response("enable_key_rotation", {})
        for _ in range(3):
            stub.add_client_error("describe_key", "NotFoundException")
        with pytest.raises(MasterKeyError):
            make_master_key(client, place)


def test_an_answer_without_a_key_is_an_outage(client: KmsClient, place: KmsPlace) -> None:
    """Half an answer to CreateKey."""
    with Stubber(client._client) as stub:
        stub.add_client_error("describe_key", "NotFoundException")
        stub.add_response("create_key", {})
        with pytest.raises(CustodianUnavailableError):
            make_master_key(client, place)
