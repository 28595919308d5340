"""A KMS that is not AWS's: ministack refuses keys by their state, and takes what AWS does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import CustodianDeniedError, StoreIntegrityError
from mycelium_fractal_net.security.key_providers.aws_kms import AWSKMSCustodian, KmsPlace
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from tests.security.key_providers.aws_kms.conftest import MATERIAL, bound
from tests.support.custodians.ministack import _ministack, ministack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.custodians.ministack import Ministack

__all__ = ["_ministack", "ministack"]


@pytest.fixture
def key(ministack: Ministack) -> str:
    """The ARN of a new key there."""
    return str(ministack.client.create_key()["KeyMetadata"]["Arn"])


@pytest.fixture
def there(ministack: Ministack, key: str) -> Iterator[RemoteCustodian]:
    """A custodian of it, as a store has it."""
    made = RemoteCustodian(lambda: AWSKMSCustodian(KmsPlace(key, endpoint_url=ministack.url)))
    yield made
    made.close()


def wrapped(custodian: RemoteCustodian) -> bytes:
    return custodian.wrap_many(custodian.newest_id(), [(MATERIAL, bound())])[0]


def opened(custodian: RemoteCustodian, sealed: bytes) -> bytes:
    return bytes(custodian.unwrap_many(custodian.newest_id(), [(sealed, bound())])[0])


def test_a_key_is_refused_by_its_state_and_serves_again(
    ministack: Ministack, key: str, there: RemoteCustodian
) -> None:
    """Disabled, and to be deleted; both are taken back there, and nothing is restarted."""
    sealed = wrapped(there)
    ministack.client.disable_key(KeyId=key)
    with pytest.raises(CustodianDeniedError, match="disabled"):
        opened(there, sealed)
    ministack.client.enable_key(KeyId=key)
    assert opened(there, sealed) == MATERIAL
    ministack.client.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    for call in (there.ping, lambda: wrapped(there), lambda: opened(there, sealed)):
        with pytest.raises(CustodianDeniedError, match="AWS KMS refuses"):
            call()
    (warning, *_) = there.inspect().warnings
    assert "to be deleted on " in warning
    ministack.client.cancel_key_deletion(KeyId=key)
    ministack.client.enable_key(KeyId=key)
    assert opened(there, sealed) == MATERIAL


def test_what_it_opens_though_it_was_changed_is_refused_here(there: RemoteCustodian) -> None:
    """It authenticates no ciphertext; the digest of the binding at its end is compared."""
    sealed = wrapped(there)
    for edited in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:-33] + sealed[-32:]):
        with pytest.raises(StoreIntegrityError):
            opened(there, edited)


def test_what_it_opens_with_another_key_is_refused_here(
    ministack: Ministack, there: RemoteCustodian
) -> None:
    """It asks no ciphertext whose it is, where it does not know the key that is named."""
    theirs = ministack.client.create_key()["KeyMetadata"]["Arn"]
    other = RemoteCustodian(lambda: AWSKMSCustodian(KmsPlace(theirs, endpoint_url=ministack.url)))
    with pytest.raises(StoreIntegrityError):
        opened(there, wrapped(other))
    other.close()
