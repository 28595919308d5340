"""Two nodes of a real OpenBao: one is active, the other stands by."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.key_providers import Binding
from mycelium_fractal_net.security.key_providers.vault.logins import GivenToken
from tests.support.custodians.vault import KEY_NAME, Bao, custodian_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MATERIAL = b"k" * 64
BINDING = Binding(bytes(16), "orders", "encryption", "data", "AES-256-GCM", 1, b"12345678")
FIRST, SECOND = (f"vault:{KEY_NAME}:v{number}" for number in (1, 2))


@pytest.fixture
def active() -> Iterator[Bao]:
    """The active node."""
    made = Bao()
    yield made
    made.close()


@pytest.fixture
def standby(active: Bao) -> Iterator[Bao]:
    """Another node of the same."""
    made = Bao(joins=active)
    yield made
    made.close()


def test_a_standby_serves_also_while_the_active_node_is_away(active: Bao, standby: Bao) -> None:
    """What is rotated on one is soon known to the other."""
    assert standby.ask("GET", "sys/health").status == 429
    active.asked("POST", "sys/mounts/transit", {"type": "transit"})
    active.make_key()
    custodian = custodian_of(standby, GivenToken(active.root_token))
    deadline = time.monotonic() + 10
    while standby.ask("GET", f"transit/keys/{KEY_NAME}").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sealed = custodian.wrap_many(custodian.newest_id(), [(MATERIAL, BINDING)])
    active.rotate()
    while custodian.newest_id() != SECOND:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        custodian.ping()
    active.stop()
    moved = custodian.rewrap_many(FIRST, SECOND, [(sealed[0], BINDING)])
    assert custodian.unwrap_many(SECOND, [(moved[0], BINDING)]) == [MATERIAL]
    custodian.close()
