"""The AWS Encryption SDK for Python beside us, as its documentation begins: without a cache."""

from __future__ import annotations

from typing import Any

from botocore.session import Session

from tests.support.custodians.aws_kms import REGION


class EncryptionSdk:
    """It asks the key of that ARN through ``client``, which is botocore's."""

    def __init__(self, client: Any, arn: str) -> None:
        import aws_encryption_sdk
        from aws_encryption_sdk.key_providers.kms import StrictAwsKmsMasterKeyProvider

        class AtTheServer(StrictAwsKmsMasterKeyProvider):  # type: ignore[misc]
            """Its own clients reach AWS alone."""

            def _client(self, key_id: str) -> Any:  # noqa: ARG002
                return client

        session = Session()
        session.set_config_variable("region", REGION)
        self._sdk = aws_encryption_sdk.EncryptionSDKClient()
        self._keys: Any = AtTheServer(key_ids=[arn], botocore_session=session)

    def encrypt(self, message: bytes) -> bytes:
        sealed: bytes = self._sdk.encrypt(source=message, key_provider=self._keys)[0]
        return sealed

    def decrypt(self, sealed: bytes) -> bytes:
        message: bytes = self._sdk.decrypt(source=sealed, key_provider=self._keys)[0]
        return message
