"""The master key in AWS KMS."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, cast

from mycelium_fractal_net.bootstrap.custodians.remote import RemoteScheme, known_store_id
from mycelium_fractal_net.security.errors import ConfigurationError
from mycelium_fractal_net.security.key_providers.aws_kms import (
    AWSKMSCustodian,
    AWSKMSKeyProvider,
    KmsClient,
    KmsPlace,
    make_master_key,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.bootstrap.custodians.scheme import Opened
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.policy import Policy


class AWSKMSScheme(RemoteScheme):
    """The key that ``security.key_management.aws_kms_key_id`` names."""

    def require_settings(self, settings: Settings) -> None:
        """The key."""
        _key_id(settings)

    def connect(self, settings: Settings, policy: Policy) -> AWSKMSCustodian:  # noqa: ARG002
        """See :class:`.RemoteScheme`: one DescribeKey."""
        return AWSKMSCustodian(_place(settings))

    def make_key(self, settings: Settings, policy: Policy) -> None:  # noqa: ARG002
        """CreateKey and CreateAlias, with rotation every year; an alias that is there stays."""
        place = _place(settings)
        with contextlib.closing(KmsClient(place)) as kms:
            make_master_key(kms, place)

    def provider(
        self, settings: Settings, store: KeyStore, policy: Policy, opened: Opened
    ) -> StoredKeyProvider:
        """The plan's provider."""
        return AWSKMSKeyProvider(
            store,
            cast("RemoteCustodian", opened.custodian),
            policy,
            store_id=opened.store_id,
            outage_seconds=settings.security.key_management.outage_seconds,
        )


def _place(settings: Settings) -> KmsPlace:
    chosen = settings.security.key_management
    return KmsPlace(
        key_id=_key_id(settings),
        region=chosen.aws_region,
        endpoint_url=chosen.aws_endpoint_url,
        profile=chosen.aws_profile,
        store_id=known_store_id(settings),
    )


def _key_id(settings: Settings) -> str:
    found = settings.security.key_management.aws_kms_key_id
    if found is None:
        raise ConfigurationError(
            "security.key_management.aws_kms_key_id (MFN_AWS_KMS_KEY_ID) is missing: the id, ARN or"
            " alias of the AWS KMS key that holds the master key"
        )
    return found
