"""The OpenBao that the tests of this process share."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.key_providers.vault.logins import GivenToken
from tests.support.custodians import harness
from tests.support.custodians.vault import Bao, VaultHarness, custodian_of, policy_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers.vault import VaultCustodian

_numbers = itertools.count(1)


@pytest.fixture
def bao() -> Bao:
    """The server, unsealed."""
    other = harness("vault")
    assert isinstance(other, VaultHarness)
    return other.bao


@pytest.fixture
def name() -> str:
    """What a transit key is called, and the policy for it: no other test has it."""
    return f"k{next(_numbers)}"


@pytest.fixture
def token(bao: Bao, name: str) -> str:
    """A token that may use that key, and no more."""
    bao.write_policy(name, policy_of(name))
    return bao.token(name, period="1h")


@pytest.fixture
def custodian(bao: Bao, name: str, token: str) -> Iterator[VaultCustodian]:
    """A custodian over that key, which is there."""
    bao.make_key(name)
    made = custodian_of(bao, GivenToken(token), name=name)
    yield made
    made.close()
