"""A KMS on loopback, and custodians of its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from mycelium_fractal_net.security.key_providers import Binding
from mycelium_fractal_net.security.key_providers.aws_kms import AWSKMSCustodian, KmsPlace
from mycelium_fractal_net.security.key_providers.call_limits import CallLimits
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from tests.support.custodians import harness
from tests.support.custodians.aws_kms import ALIAS, REGION, AWSKMSHarness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STORE_ID = bytes(range(16))
MATERIAL = b"k" * 32


def bound(version: int = 1, key_id: str = "orders") -> Binding:
    """What a version of a key is bound to."""
    return Binding(STORE_ID, key_id, "encryption", "data", "AES-256-GCM", version, b"12345678")


@pytest.fixture
def kms() -> AWSKMSHarness:
    """KMS, with a key under :data:`ALIAS`."""
    found = cast("AWSKMSHarness", harness("aws-kms"))
    found.requests()
    return found


@pytest.fixture
def opened(kms: AWSKMSHarness) -> Iterator[Callable[..., AWSKMSCustodian]]:
    """Opens a custodian of the key, or of another place."""
    made: list[AWSKMSCustodian] = []

    def open_it(key_id: str = ALIAS, **more: object) -> AWSKMSCustodian:
        place = {"region": REGION, "endpoint_url": kms.url, **more}
        made.append(AWSKMSCustodian(KmsPlace(key_id, **place)))  # type: ignore[arg-type]
        return made[-1]

    yield open_it
    for each in made:
        each.close()


@pytest.fixture
def custodian(opened: Callable[..., AWSKMSCustodian]) -> AWSKMSCustodian:
    """One of the key, without what stands before it in a store."""
    return opened()


@pytest.fixture
def remote(opened: Callable[..., AWSKMSCustodian]) -> RemoteCustodian:
    """One as a store has it, that asks again at once after an outage."""
    return RemoteCustodian(opened, CallLimits(outages_in_a_row=1000))
