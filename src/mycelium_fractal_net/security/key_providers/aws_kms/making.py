"""Keys made in AWS KMS: the master key by ``mfn init --create-key``, or by hand as is said here."""

from __future__ import annotations

from contextlib import suppress
from time import sleep
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    ConflictError,
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
    MfnError,
)
from mycelium_fractal_net.security.key_providers.aws_kms.place import KeyArn

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers.aws_kms.client import KmsClient
    from mycelium_fractal_net.security.key_providers.aws_kms.place import KmsPlace

_T = TypeVar("_T")

_SHORTEST_WAIT_DAYS: Final = 7  # KMS API reference, ScheduleKeyDeletion: the least there is
# KMS developer guide, "Eventual consistency": what was made may be unknown for some seconds.
_UNKNOWN_SECONDS: Final = (0.1, 0.2, 0.4, 0.8, 1.6)


def make_master_key(kms: KmsClient, place: KmsPlace) -> None:
    """Make the key and its alias, and have AWS rotate it every year; one that is there stays.

    Raises :class:`ConfigurationError` where no alias is configured: AWS chooses the ids of keys.
    """
    with suppress(MasterKeyError):
        kms.ask("describe_key", KeyId=place.asked_key)
        return
    alias = place.alias
    if alias is None:
        raise ConfigurationError(
            "AWS chooses the ids of keys: to have one made, name it in"
            " security.key_management.aws_kms_key_id (MFN_AWS_KMS_KEY_ID) by an alias, alias/NAME"
        )
    arn = made_key(
        kms,
        Description="Master key of MyceliumFractalNet: without it nothing in its key store opens",
        KeySpec="SYMMETRIC_DEFAULT",
        KeyUsage="ENCRYPT_DECRYPT",
    )
    try:
        until_known(lambda: kms.ask("create_alias", AliasName=alias, TargetKeyId=arn.key))
    except MfnError as error:
        with suppress(MfnError):  # it protects nothing, and nobody finds it again
            discard(kms, arn)
        if not isinstance(error, ConflictError):  # whoever else made one at once was first
            raise
    else:
        with suppress(CustodianDeniedError):  # a permission of its own; doctor says that it is off
            kms.ask("enable_key_rotation", KeyId=arn.key)
    until_known(lambda: kms.ask("describe_key", KeyId=alias))


def made_key(kms: KmsClient, **parameters: object) -> KeyArn:
    """The ARN of a new key."""
    made: dict[str, Any] = kms.ask("create_key", **parameters).get("KeyMetadata", {})
    return KeyArn.of_answer(made.get("Arn"))


def discard(kms: KmsClient, arn: KeyArn) -> None:
    """Have the key deleted as soon as KMS does that."""
    answer = kms.ask(
        "schedule_key_deletion", KeyId=arn.key, PendingWindowInDays=_SHORTEST_WAIT_DAYS
    )
    if not answer.get("KeyId"):
        raise CustodianUnavailableError("AWS KMS answers without what was asked")


def until_known(ask: Callable[[], _T]) -> _T:
    """What ``ask`` gives once KMS knows what was just made, within some seconds."""
    for pause in _UNKNOWN_SECONDS:
        with suppress(MasterKeyError):
            return ask()
        sleep(pause)
    return ask()


def bytes_of(answer: dict[str, Any], name: str) -> bytes:
    """The bytes of that name in an answer. Raises :class:`CustodianUnavailableError`."""
    found = answer.get(name)
    if not isinstance(found, bytes) or not found:
        raise CustodianUnavailableError("AWS KMS answers without what was asked")
    return found


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
