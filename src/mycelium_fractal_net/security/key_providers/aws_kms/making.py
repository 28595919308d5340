"""The master key made in AWS KMS by ``mfn init --create-key``, or by hand as is said here."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    ConflictError,
    CustodianDeniedError,
    MasterKeyError,
    MfnError,
)
from mycelium_fractal_net.security.key_providers.aws_kms.place import KeyArn

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.aws_kms.client import KmsClient
    from mycelium_fractal_net.security.key_providers.aws_kms.place import KmsPlace

SHORTEST_WAIT_DAYS: Final = 7  # KMS API reference, ScheduleKeyDeletion: the least there is


def make_master_key(kms: KmsClient, place: KmsPlace) -> None:
    """Make the key and its alias, and have AWS rotate it every year; one that is there stays.

    Raises :class:`ConfigurationError` where no alias is configured: AWS chooses the ids of keys.
    """
    with suppress(MasterKeyError):
        kms.ask("describe_key", KeyId=place.asked_key)
        return
    if place.alias is None:
        raise ConfigurationError(
            "AWS chooses the ids of keys: to have one made, name it in"
            " security.key_management.aws_kms_key_id (MFN_AWS_KMS_KEY_ID) by an alias, alias/NAME"
        )
    made = kms.ask(
        "create_key",
        Description="Master key of MyceliumFractalNet: without it nothing in its key store opens",
        KeySpec="SYMMETRIC_DEFAULT",
        KeyUsage="ENCRYPT_DECRYPT",
    )
    key = KeyArn.of_answer(made.get("KeyMetadata", {}).get("Arn")).key
    try:
        kms.ask("create_alias", AliasName=place.alias, TargetKeyId=key)
    except MfnError as error:
        with suppress(MfnError):  # it protects nothing, and nobody finds it again
            kms.ask("schedule_key_deletion", KeyId=key, PendingWindowInDays=SHORTEST_WAIT_DAYS)
        if not isinstance(error, ConflictError):  # whoever else made one at once was first
            raise
    else:
        with suppress(CustodianDeniedError):  # a permission of its own; doctor says that it is off
            kms.ask("enable_key_rotation", KeyId=key)


def absent(place: KmsPlace, region: str) -> MasterKeyError:
    """The error for a key that is not there, which says how to make it."""
    if place.alias is None:
        return MasterKeyError(
            f"AWS KMS has no key in {region} that is what MFN_AWS_KMS_KEY_ID says; no other key"
            " opens a store that is under it"
        )
    return MasterKeyError(
        f"AWS KMS has no {place.alias} in {region}; where there was none yet, run: mfn init"
        f" --create-key, or by hand: {' && '.join(commands(place.alias, region))}"
    )


def commands(alias: str, region: str) -> tuple[str, ...]:
    """What makes the same in a shell, with AWS's own command line."""
    return (
        f"KEY=$(aws kms create-key --region {region} --query KeyMetadata.KeyId --output text)",
        f"aws kms create-alias --region {region} --alias-name {alias} --target-key-id $KEY",
        f"aws kms enable-key-rotation --region {region} --key-id $KEY",
    )
