"""Whether a version may go on with a stream that it began."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import KeyNotFoundError, KeyStateError
from mycelium_fractal_net.security.records.keys import Verb
from mycelium_fractal_net.security.records.open_options import OpenOptions

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.keyring.keyring import Keyring


def test_an_older_version_goes_on_sealing_and_a_compromised_one_does_not(
    keyring: Keyring, local_provider: LocalKeyProvider
) -> None:
    """A rotation interrupts nobody; a compromise does, unless opening with it is allowed."""
    local_provider.rotate_key("orders")
    for version_id in ("orders:v1", "orders:v2", "orders"):
        keyring.check_sealing(version_id)
        keyring.check_opening(version_id)
    local_provider.states.apply(Verb.COMPROMISE, "orders:v1")
    keyring.refresh()
    with pytest.raises(KeyStateError, match="orders:v1 protects nothing more: it is compromised"):
        keyring.check_sealing("orders:v1")
    with pytest.raises(KeyStateError):
        keyring.check_opening("orders:v1")
    keyring.check_opening("orders:v1", OpenOptions(allow_compromised=True))
    with pytest.raises(KeyNotFoundError):
        keyring.check_sealing("nosuch:v1")
