"""The custodian whose master key is in AWS KMS, and the plan's provider over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    CustodianDeniedError,
    CustodianUnavailableError,
    InvalidInputError,
    MasterKeyError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers.aws_kms.client import KmsClient
from mycelium_fractal_net.security.key_providers.aws_kms.context import encryption_context
from mycelium_fractal_net.security.key_providers.aws_kms.inspection import inspected
from mycelium_fractal_net.security.key_providers.aws_kms.making import absent, bytes_of
from mycelium_fractal_net.security.key_providers.aws_kms.parallel import in_parallel
from mycelium_fractal_net.security.key_providers.aws_kms.place import SCHEME, KeyArn
from mycelium_fractal_net.security.key_providers.aws_kms.signing import ALGORITHMS, SigningKeys
from mycelium_fractal_net.security.key_providers.custodian import Custodian, CustodianStatus
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.key_providers.aws_kms.place import KmsPlace
    from mycelium_fractal_net.security.key_providers.custodian import Binding, SigningKeyReference
    from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian

PLAINTEXT_BYTES: Final = 4096  # KMS API reference, Encrypt: what a symmetric key takes


class AWSKMSKeyProvider(StoredKeyProvider):
    """The plan's key provider whose master key is in AWS KMS."""

    custodian: RemoteCustodian


class AWSKMSCustodian(Custodian):
    """The one key of ``place``, which is asked for when this is made, and stays that key.

    It stands behind :class:`.RemoteCustodian`, which has the attempts and the deadline.
    """

    scheme: ClassVar[str] = SCHEME
    is_one_key_everywhere: ClassVar[bool] = True

    def __init__(self, place: KmsPlace) -> None:
        self._place = place
        self.kms = KmsClient(place)
        try:
            self._arn = _usable(self._described())
        except MasterKeyError:
            raise absent(place, self.kms.region) from None
        self._signing_keys = SigningKeys(self.kms, self._arn)

    def newest_id(self) -> str:
        """The ARN of the key without its region; new key material of KMS's own changes nothing."""
        return self._arn.kek_id

    def holds(self, kek_id: str) -> bool:
        """Whether that is the key that was asked for."""
        return kek_id == self._arn.kek_id

    def wrap_many(self, kek_id: str, items: Sequence[tuple[Octets, Binding]]) -> list[bytes]:
        """Encrypt: a request for each, a few at once."""
        self.check(kek_id)
        return in_parallel(lambda item: self._encrypted(*item), items)

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> Sequence[Octets]:
        """Decrypt: a request for each, a few at once."""
        self.check(kek_id)
        return in_parallel(lambda item: self._decrypted(*item), items)

    def rewrap_many(
        self, from_id: str, to_id: str, items: Sequence[tuple[bytes, Binding]]
    ) -> list[bytes]:
        """ReEncrypt: under the newest key material, and no key comes over."""
        self.check(from_id)
        self.check(to_id)
        return in_parallel(lambda item: self._re_encrypted(*item), items)

    def ping(self) -> None:
        """See that the key is there and enabled."""
        described = self._described()
        if described.get("KeyState") != "Enabled":
            raise CustodianDeniedError("AWS KMS refuses: the key is not enabled")

    def inspect(self) -> CustodianStatus:
        """What an operator should know of the key."""
        return inspected(self.kms, self._arn, self._described(), self._place.context)

    # Signing keys: see :class:`.SigningCustodian` -------------------------------------------

    @property
    def signing_algorithms(self) -> frozenset[str]:
        """All three, where the region has them."""
        return ALGORITHMS

    def create_signing_key(self, algorithm: str, binding: Binding) -> SigningKeyReference:
        """CreateKey, and GetPublicKey; the reference is its ARN."""
        return self._signing_keys.create(algorithm, binding)

    def sign(self, reference: str, algorithm: str, message: bytes) -> bytes:
        """Sign."""
        return self._signing_keys.sign(reference, algorithm, message)

    def signing_public_key(self, reference: str) -> bytes:
        """GetPublicKey."""
        return self._signing_keys.public_key(reference)

    def destroy_signing_key(self, reference: str) -> None:
        """ScheduleKeyDeletion, in seven days."""
        self._signing_keys.destroy(reference)

    def list_signing_keys(
        self, store_id: bytes, known: Collection[str], *, thorough: bool
    ) -> frozenset[str] | None:
        """ListKeys, and of each key that is not known ListResourceTags."""
        return self._signing_keys.listed(store_id, known) if thorough else None

    def close(self) -> None:
        """Close the connections."""
        self.kms.close()

    # Beneath ------------------------------------------------------------------------------

    def _described(self) -> dict[str, Any]:
        answer = self.kms.ask("describe_key", KeyId=self._place.asked_key)
        described = answer.get("KeyMetadata")
        if not isinstance(described, dict):
            raise CustodianUnavailableError("AWS KMS answers without what was asked")
        return described

    def _encrypted(self, material: Octets, binding: Binding) -> bytes:
        if len(material) > PLAINTEXT_BYTES:
            raise InvalidInputError(f"AWS KMS encrypts {PLAINTEXT_BYTES:,} bytes at most")
        answer = self.kms.ask(
            "encrypt",
            KeyId=str(self._arn),
            Plaintext=material,
            EncryptionContext=encryption_context(binding),
        )
        self._check_wrapped_by(answer.get("KeyId"))
        return bytes_of(answer, "CiphertextBlob")

    def _decrypted(self, wrapped: bytes, binding: Binding) -> bytes:
        answer = self.kms.ask(
            "decrypt",
            KeyId=str(self._arn),
            CiphertextBlob=wrapped,
            EncryptionContext=encryption_context(binding),
        )
        self._check_opened_by(answer.get("KeyId"))
        return bytes_of(answer, "Plaintext")

    def _re_encrypted(self, wrapped: bytes, binding: Binding) -> bytes:
        context = encryption_context(binding)
        answer = self.kms.ask(
            "re_encrypt",
            CiphertextBlob=wrapped,
            SourceKeyId=str(self._arn),
            SourceEncryptionContext=context,
            DestinationKeyId=str(self._arn),
            DestinationEncryptionContext=context,
        )
        self._check_opened_by(answer.get("SourceKeyId"))
        self._check_wrapped_by(answer.get("KeyId"))
        return bytes_of(answer, "CiphertextBlob")

    def _check_opened_by(self, key_id: object) -> None:
        if not isinstance(key_id, str):  # an answer that was cut, or is somebody else's
            raise CustodianUnavailableError("AWS KMS answers without what was asked")
        if key_id != str(self._arn):  # some that are no AWS open it with whichever key it names
            raise StoreIntegrityError("AWS KMS opens it with another key")

    def _check_wrapped_by(self, key_id: object) -> None:
        if key_id != str(self._arn):
            raise CustodianUnavailableError("AWS KMS answers for another key")


def _usable(described: dict[str, Any]) -> KeyArn:
    if (described.get("KeyUsage"), described.get("KeySpec")) != (
        "ENCRYPT_DECRYPT",
        "SYMMETRIC_DEFAULT",
    ):
        raise ConfigurationError(
            "the key of security.key_management.aws_kms_key_id (MFN_AWS_KMS_KEY_ID) is not for"
            " encryption, or is not symmetric"
        )
    return KeyArn.of_answer(described.get("Arn"))
