"""What an operator should know of the key in AWS KMS; nothing is changed by finding it out.

What the credentials may do is tried, since only that tells: by requests that change nothing
whatever the answer is. CloudTrail records them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import CustodianDeniedError, MfnError
from mycelium_fractal_net.security.key_providers.custodian import CustodianStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers.aws_kms.client import KmsClient
    from mycelium_fractal_net.security.key_providers.aws_kms.place import KeyArn

_NO_GRANT: Final = "0" * 64  # the id of a grant that is not there
_LOST: Final = "nothing in the store opens any more, nor in any backup of it"
_STATES: Final = {
    "Disabled": "the key is disabled, and nothing opens: aws kms enable-key --key-id {key}",
    "PendingImport": "the key waits for its key material, and nothing opens: import it again",
    "Unavailable": "the key store outside of AWS that has the key is not connected to it",
}


def inspected(
    kms: KmsClient, arn: KeyArn, described: dict[str, Any], context: dict[str, str]
) -> CustodianStatus:
    """The status of the key ``arn``.

    ``described`` is the metadata of what the settings name now; ``context`` begins the encryption
    context of all that is wrapped in this store, and is empty where the store's id is not known.
    """
    warnings = [
        *_of_key(kms, arn, described),
        *_too_wide(kms, arn),
        *_too_narrow(kms, arn, context),
    ]
    return CustodianStatus(str(arn), (arn.kek_id,), "remote", warnings=tuple(warnings))


def _of_key(kms: KmsClient, arn: KeyArn, described: dict[str, Any]) -> Iterator[str]:
    if described.get("Arn") != str(arn):
        yield (
            f"the alias names another key now than the one in use, {arn}: what runs keeps to that"
            " one until it is started again; point the alias back, or set MFN_AWS_KMS_KEY_ID to"
            " that ARN until the store is moved"
        )
    state = described.get("KeyState")
    if state in ("PendingDeletion", "PendingReplicaDeletion"):
        yield (
            f"the key is to be deleted{_date(described, 'DeletionDate')}, and then {_LOST}: aws kms"
            f" cancel-key-deletion --key-id {arn.key}, and enable it"
        )
    elif state in _STATES:
        yield _STATES[state].format(key=arn.key)
    origin = described.get("Origin")
    if origin == "EXTERNAL":
        yield (
            "the key material was imported: AWS does not rotate it, and does not bring it back once"
            f" it expires{_date(described, 'ValidTo')} or is deleted; keep a copy"
        )
    elif origin in ("AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"):
        yield "the key is in a key store of your own: what opens here depends on that being up"
    elif described.get("KeyManager") == "AWS":
        yield "the key is one that AWS manages for a service of its own: nobody may set its policy"
    elif state == "Enabled" and _rotation_is_off(kms, arn):
        yield f"automatic rotation is off: aws kms enable-key-rotation --key-id {arn.key}"


def _rotation_is_off(kms: KmsClient, arn: KeyArn) -> bool:
    try:
        return kms.ask("get_key_rotation_status", KeyId=str(arn)).get("KeyRotationEnabled") is False
    except CustodianDeniedError:
        return False  # whoever may not ask for it is told nothing


def _too_wide(kms: KmsClient, arn: KeyArn) -> Iterator[str]:
    if kms.permits("revoke_grant", KeyId=str(arn), GrantId=_NO_GRANT, DryRun=True):
        yield (
            "the credentials may manage the key (kms:RevokeGrant), not only use it: whoever has"
            " them may have its deletion too; allow what docs/custody/aws-kms.md lists, no more"
        )
    if kms.permits("list_aliases", Limit=1):
        yield (
            "the credentials reach beyond the key (kms:ListAliases): allow what"
            " docs/custody/aws-kms.md lists, no more"
        )
    if kms.permits("encrypt", KeyId=str(arn), Plaintext=b"?", DryRun=True):
        yield (
            "the credentials may use the key for anything: hold them to this store, by the"
            " condition kms:EncryptionContext:mfn-store in docs/custody/aws-kms.md"
        )


def _too_narrow(kms: KmsClient, arn: KeyArn, context: dict[str, str]) -> Iterator[str]:
    if not context:
        return
    tried, key = {**context, "mfn-type": "trial"}, str(arn)
    try:
        wrapped = kms.ask("encrypt", KeyId=key, Plaintext=b"?", EncryptionContext=tried)
    except MfnError as error:
        yield f"no key can be made or rotated: {error}"
        return
    blob = wrapped.get("CiphertextBlob", b"")
    try:
        kms.ask("decrypt", KeyId=key, CiphertextBlob=blob, EncryptionContext=tried)
    except MfnError as error:
        yield f"nothing can be opened: {error}"
    try:
        kms.ask(
            "re_encrypt",
            CiphertextBlob=blob,
            SourceKeyId=key,
            SourceEncryptionContext=tried,
            DestinationKeyId=key,
            DestinationEncryptionContext=tried,
        )
    except MfnError as error:
        yield f"the store cannot be wrapped anew (kms:ReEncryptFrom, kms:ReEncryptTo): {error}"


def _date(described: dict[str, Any], name: str) -> str:
    found = described.get(name)
    return "" if found is None else f" on {found:%Y-%m-%d}"
