"""What an operator is told of the key in AWS KMS, and of what the credentials may do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from tests.security.key_providers.aws_kms.conftest import STORE_ID
from tests.support.custodians.aws_kms import ALIAS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers.aws_kms import AWSKMSCustodian
    from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
    from tests.support.custodians.aws_kms import AWSKMSHarness

TRIALS = ("revoke_grant", "list_aliases", "encrypt")


def told(custodian: AWSKMSCustodian, *, rotates: bool | str = True, **described: Any) -> list[str]:
    """The warnings about a key as AWS describes it, to whom nothing more is permitted."""
    arn = str(custodian._arn)
    key = {"KeyId": arn, "Arn": arn, "KeyState": "Enabled", "Origin": "AWS_KMS", **described}
    with Stubber(custodian.kms._client) as stub:
        stub.add_response("describe_key", {"KeyMetadata": key})
        if (key["KeyState"], key["Origin"], key.get("KeyManager")) == ("Enabled", "AWS_KMS", None):
            if isinstance(rotates, str):
                stub.add_client_error("get_key_rotation_status", rotates)
            else:
                stub.add_response("get_key_rotation_status", {"KeyRotationEnabled": rotates})
        for operation in TRIALS:
            stub.add_client_error(operation, "AccessDeniedException")
        status = custodian.inspect()
        stub.assert_no_pending_responses()
    assert (status.place, status.kek_ids) == (arn, (custodian.newest_id(),))
    assert status.guard == "remote"
    return list(status.warnings)


def test_a_key_that_is_as_it_should_be_has_no_warning(custodian: AWSKMSCustodian) -> None:
    """Nor has one whose rotation may not be asked for."""
    assert told(custodian) == []
    assert told(custodian, rotates="AccessDeniedException") == []


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"KeyState": "Disabled"}, "disabled, and nothing opens: aws kms enable-key"),
        (
            {"KeyState": "PendingDeletion", "DeletionDate": datetime(2027, 1, 2, tzinfo=UTC)},
            "to be deleted on 2027-01-02, and then nothing",
        ),
        ({"KeyState": "PendingReplicaDeletion"}, "to be deleted, and then nothing"),
        ({"KeyState": "PendingImport"}, "waits for its key material"),
        ({"KeyState": "Unavailable"}, "not connected"),
        ({"Origin": "EXTERNAL"}, "once it expires or is deleted"),
        (
            {"Origin": "EXTERNAL", "ValidTo": datetime(2027, 1, 2, tzinfo=UTC)},
            "once it expires on 2027-01-02 or is deleted",
        ),
        ({"Origin": "AWS_CLOUDHSM"}, "depends on that being up"),
        ({"KeyManager": "AWS"}, "AWS manages"),
        ({"Arn": "arn:aws:kms:x:1:key/other"}, "alias names another key now"),
    ],
)
def test_what_is_amiss_is_told_with_what_to_do(
    custodian: AWSKMSCustodian, described: dict[str, Any], words: str
) -> None:
    """As AWS describes the key."""
    (warning,) = told(custodian, **described)
    assert words in warning


def test_rotation_that_is_off_is_told(custodian: AWSKMSCustodian) -> None:
    """With the command that switches it on."""
    (warning,) = told(custodian, rotates=False)
    assert "aws kms enable-key-rotation --key-id" in warning


def test_permissions_that_are_too_wide_are_found_by_trying(
    custodian: AWSKMSCustodian, kms: AWSKMSHarness
) -> None:
    """On moto, where everything is permitted; nothing is changed by it."""
    before = kms.client.list_grants(KeyId=kms.arn)["Grants"]
    kms.requests()
    warnings = custodian.inspect().warnings
    assert [each for each in warnings if "kms:RevokeGrant" in each]
    assert [each for each in warnings if "kms:ListAliases" in each]
    assert [each for each in warnings if "kms:EncryptionContext:mfn-store" in each]
    assert len(warnings) in (3, 4)  # rotation is off there, unless another test switched it on
    assert kms.requests() == {
        "DescribeKey": 1,
        "GetKeyRotationStatus": 1,
        "RevokeGrant": 1,
        "ListAliases": 1,
        "Encrypt": 1,
    }
    assert kms.client.list_grants(KeyId=kms.arn)["Grants"] == before


def test_permissions_that_are_too_narrow_are_found_by_trying(
    opened: Callable[..., AWSKMSCustodian], kms: AWSKMSHarness
) -> None:
    """Where the store is known, by wrapping something that is no key of it."""
    custodian = opened(store_id=STORE_ID)
    kms.requests()
    custodian.inspect()
    asked = kms.requests()
    assert (asked["Encrypt"], asked["Decrypt"], asked["ReEncrypt"]) == (2, 1, 1)
    arn, blob = str(custodian._arn), {"CiphertextBlob": b"?"}
    key = {"KeyId": arn, "Arn": arn, "KeyState": "Disabled"}
    for allowed, words in ((False, ["made or rotated"]), (True, ["be opened", "ReEncryptTo"])):
        with Stubber(custodian.kms._client) as stub:
            stub.add_response("describe_key", {"KeyMetadata": key})
            for operation in TRIALS:
                stub.add_client_error(operation, "AccessDeniedException")
            if allowed:
                stub.add_response("encrypt", blob)
                stub.add_client_error("decrypt", "AccessDeniedException")
                stub.add_client_error("re_encrypt", "AccessDeniedException")
            else:
                stub.add_client_error("encrypt", "AccessDeniedException")
            found = custodian.inspect().warnings[1:]
            stub.assert_no_pending_responses()
        for warning, word in zip(found, words, strict=True):
            assert word in warning
            assert "no permission" in warning


def test_an_alias_that_was_pointed_elsewhere_is_told(
    remote: RemoteCustodian, kms: AWSKMSHarness
) -> None:
    """What runs keeps to its key; the next start would not."""
    before = kms.arn
    other = kms.client.create_key()["KeyMetadata"]["KeyId"]
    kms.client.update_alias(AliasName=ALIAS, TargetKeyId=other)
    try:
        assert before in remote.inspect().warnings[0]
        remote.ping()
    finally:
        kms.client.update_alias(AliasName=ALIAS, TargetKeyId=before.rpartition("/")[2])
    assert kms.arn == before
