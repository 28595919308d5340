"""What the tests of leases have: a clock that they set, and a client whose requests are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.client import Client
from tests.support.client import Clock, Counting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.service import Running


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the leases of this test."""
    made = Clock()
    monkeypatch.setattr("mycelium_fractal_net.client.clients.lease_clock", made)
    return made


@pytest.fixture
def counting() -> Counting:
    """A transport that counts what goes through it."""
    return Counting()


@pytest.fixture
def counted(service: Running, counting: Counting) -> Iterator[Client]:
    """A client whose requests are counted."""
    with Client(service.url, service.api_key, transport=counting) as client:
        yield client
