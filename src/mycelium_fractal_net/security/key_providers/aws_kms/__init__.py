"""The master key in AWS KMS, asked through botocore (the extra ``aws-kms``).

Settings (``security.key_management``):

- ``aws_kms_key_id`` (``MFN_AWS_KMS_KEY_ID``): a symmetric key for encryption, by its id, its ARN,
  an alias or the ARN of one. An alias is resolved when the custodian is opened, and stays resolved.
- ``aws_region`` (``MFN_AWS_REGION``): where none is named that of an ARN, then AWS's own settings.
- ``aws_endpoint_url`` (``MFN_AWS_ENDPOINT_URL``): another address, ``https`` unless it is loopback.
- ``aws_profile`` (``MFN_AWS_PROFILE``): a profile of AWS's own files.

Everything else is AWS's ordinary: credentials from the environment, the files, a web identity, the
container or the machine; ``AWS_USE_FIPS_ENDPOINT``, ``AWS_CA_BUNDLE``, ``HTTPS_PROXY``.

Permissions on the key: ``kms:DescribeKey``, ``kms:Encrypt``, ``kms:Decrypt``, and
``kms:ReEncryptFrom`` with ``kms:ReEncryptTo`` to wrap anew. For signing keys that stay in KMS:
``kms:CreateKey``, ``kms:TagResource``, ``kms:Sign``, ``kms:GetPublicKey`` and
``kms:ScheduleKeyDeletion`` on keys with our tags.

What leaves the machine: the keys of the store, each with the SHA-256 of its binding, to be
encrypted, over TLS; the binding in readable pairs as encryption context, which CloudTrail
records; of what is signed its hash, or with Ed25519 the message itself. No data of a user's, and
no key unencrypted anywhere but in those calls.

Errors: :class:`ConfigurationError` for a setting, for a region or for credentials that are missing;
:class:`MasterKeyError` where there is no such key; :class:`CustodianDeniedError` for a refusal
(permissions, credentials that ended, a key that is disabled or to be deleted);
:class:`StoreIntegrityError` for a ciphertext of another key or another context;
:class:`CustodianUnavailableError` for everything that time mends.
"""

from mycelium_fractal_net.security.key_providers.aws_kms.client import KmsClient
from mycelium_fractal_net.security.key_providers.aws_kms.custodian import (
    AWSKMSCustodian,
    AWSKMSKeyProvider,
)
from mycelium_fractal_net.security.key_providers.aws_kms.making import make_master_key
from mycelium_fractal_net.security.key_providers.aws_kms.place import KmsPlace

__all__ = ["AWSKMSCustodian", "AWSKMSKeyProvider", "KmsClient", "KmsPlace", "make_master_key"]
