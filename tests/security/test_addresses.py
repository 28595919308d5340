"""Which addresses only this machine reaches."""

from __future__ import annotations

import pytest

from mycelium_fractal_net.security.addresses import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_an_address_of_this_machine_is_known(host: str) -> None:
    """By its name, and in both families."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.168.0.1", "localhost.evil", "db"])
def test_every_other_is_reached_by_others(host: str) -> None:
    """Also one that begins like it, and one that nobody resolved."""
    assert not is_loopback(host)
