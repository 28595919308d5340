"""Signing keys that AWS KMS makes and keeps: a key of its own for each version.

Each carries, as tags, ``mfn-name`` (:func:`.signing_key_name`), ``mfn-store``, ``mfn-key`` and
``mfn-version``: a policy holds an application to the keys of its store by them. A reference is the
key's ARN, which must be of the account and region of the master key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mycelium_fractal_net.security.algorithms.digests import sha256, sha384
from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
    MfnError,
)
from mycelium_fractal_net.security.key_providers.aws_kms.making import (
    bytes_of,
    discard,
    made_key,
    until_known,
)
from mycelium_fractal_net.security.key_providers.aws_kms.parallel import in_parallel
from mycelium_fractal_net.security.key_providers.aws_kms.place import KeyArn
from mycelium_fractal_net.security.key_providers.custodian import (
    SigningKeyReference,
    signing_key_name,
    signing_key_prefix,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mycelium_fractal_net.security.key_providers.aws_kms.client import KmsClient
    from mycelium_fractal_net.security.key_providers.custodian import Binding


class _Way(NamedTuple):
    """How KMS is asked for signatures of one algorithm (KMS API reference, Sign)."""

    key_spec: str
    algorithm: str
    message_type: str
    prepared: Callable[[bytes], bytes]


_WAYS: Final = {
    "Ed25519": _Way("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "RAW", bytes),
    "ECDSA-P256": _Way("ECC_NIST_P256", "ECDSA_SHA_256", "DIGEST", sha256),
    "ECDSA-P384": _Way("ECC_NIST_P384", "ECDSA_SHA_384", "DIGEST", sha384),
}

ALGORITHMS: Final = frozenset(_WAYS)


class SigningKeys:
    """The signing keys in the account and region of the master key ``beside``."""

    def __init__(self, kms: KmsClient, beside: KeyArn) -> None:
        self._kms = kms
        self._beside = beside

    def create(self, algorithm: str, binding: Binding) -> SigningKeyReference:
        """See :class:`.SigningCustodian`."""
        name = signing_key_name(binding)
        tags = {
            "mfn-name": name,
            "mfn-store": binding.store_id.hex(),
            "mfn-key": binding.key_id,
            "mfn-version": str(binding.version),
        }
        arn = made_key(
            self._kms,
            Description=f"{name}: {binding.key_id}:v{binding.version} of MyceliumFractalNet",
            KeySpec=_WAYS[algorithm].key_spec,
            KeyUsage="SIGN_VERIFY",
            Tags=[{"TagKey": tag, "TagValue": value} for tag, value in tags.items()],
        )
        try:
            answer = until_known(lambda: self._kms.ask("get_public_key", KeyId=str(arn)))
            public_key = bytes_of(answer, "PublicKey")
        except MfnError:
            discard(self._kms, arn)
            raise
        return SigningKeyReference(str(arn), public_key)

    def sign(self, reference: str, algorithm: str, message: bytes) -> bytes:
        """See :class:`.SigningCustodian`."""
        way = _WAYS[algorithm]
        answer = self._asked(
            "sign",
            reference,
            Message=way.prepared(message),
            MessageType=way.message_type,
            SigningAlgorithm=way.algorithm,
        )
        return bytes_of(answer, "Signature")

    def public_key(self, reference: str) -> bytes:
        """See :class:`.SigningCustodian`."""
        return bytes_of(self._asked("get_public_key", reference), "PublicKey")

    def destroy(self, reference: str) -> None:
        """See :class:`.SigningCustodian`: it can be taken back for seven days, in KMS."""
        arn = self._named(reference)
        try:
            described = self._kms.ask("describe_key", KeyId=str(arn)).get("KeyMetadata", {})
            if described.get("KeyState") != "PendingDeletion":
                discard(self._kms, arn)
        except MasterKeyError:
            return  # it is gone

    def listed(self, store_id: bytes, known: Collection[str]) -> frozenset[str]:
        """Of all keys of account and region the ``known`` ones, and those with the store's tags."""
        arns: list[str] = []
        more: dict[str, object] = {}
        while True:
            answer = self._kms.ask("list_keys", Limit=1000, **more)
            arns += [str(KeyArn.of_answer(each.get("KeyArn"))) for each in answer.get("Keys", [])]
            if not answer.get("Truncated"):
                break
            more = {"Marker": answer.get("NextMarker")}
        unknown = [each for each in arns if each not in known]
        ours = in_parallel(lambda arn: self._is_left_over(arn, store_id), unknown)
        left = {arn for arn, is_ours in zip(unknown, ours, strict=True) if is_ours}
        return frozenset(left.union(arn for arn in arns if arn in known))

    def _is_left_over(self, arn: str, store_id: bytes) -> bool:
        """Whether the key is a signing key of that store's, and is not to be deleted already."""
        try:
            answer = self._kms.ask("list_resource_tags", KeyId=arn)
            tags = {each.get("TagKey"): each.get("TagValue") for each in answer.get("Tags", [])}
            prefix = signing_key_prefix(store_id)
            if tags.get("mfn-store") != store_id.hex() or not tags.get("mfn-name", "").startswith(
                prefix
            ):
                return False
            described = self._kms.ask("describe_key", KeyId=arn).get("KeyMetadata", {})
        except (CustodianDeniedError, MasterKeyError):  # somebody else's; deleted since
            return False
        return bool(described.get("KeyState") != "PendingDeletion")

    def _asked(self, operation: str, reference: str, **parameters: object) -> dict[str, Any]:
        arn = str(self._named(reference))
        try:
            answer = self._kms.ask(operation, KeyId=arn, **parameters)
        except MasterKeyError:
            raise CustodianDeniedError("AWS KMS does not have the signing key any more") from None
        if answer.get("KeyId") != arn:
            raise CustodianUnavailableError("AWS KMS answers for another key")
        return answer

    def _named(self, reference: str) -> KeyArn:
        """The ARN of a key in our account and region; no record has another one asked."""
        try:
            arn = KeyArn.of_answer(reference)
        except CustodianUnavailableError:
            arn = None
        if arn is None or arn[:3] != self._beside[:3] or arn == self._beside:
            raise CustodianDeniedError(
                "the signing key is not in the AWS account and region of the master key"
            )
        return arn
