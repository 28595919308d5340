"""What seals and opens many messages of one key does what the keyring does, and refuses as it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    KeyNotFoundError,
    KeyStateError,
    KeyUsageError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.records.keys import Verb

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.bound_cipher import BoundCipher
    from mycelium_fractal_net.security.keyring.keyring import Keyring

BOUND = b"customers.email"


@pytest.fixture
def orders(keyring: Keyring) -> BoundCipher:
    """Messages of the key orders."""
    return keyring.bound(key_id="orders", associated_data=BOUND)


def test_its_messages_are_those_of_the_keyring(keyring: Keyring, orders: BoundCipher) -> None:
    """Either opens what the other sealed, the second form included."""
    assert keyring.decrypt(orders.seal(b"data"), key_id="orders", associated_data=BOUND) == b"data"
    sealed = keyring.encrypt(b"data", key_id="orders", associated_data=BOUND)
    assert orders.open(sealed) == b"data"
    data_key = keyring.data_key(key_id="orders")
    assert orders.open(data_key.sealer.seal(b"data", BOUND)) == b"data"
    assert repr(orders) == "BoundCipher('orders')"


def test_what_is_bound_elsewhere_does_not_open(keyring: Keyring, orders: BoundCipher) -> None:
    """To another key, another associated data, a key of another type, one that is not there."""
    keyring.provider.keys.create("others")
    index = keyring.provider.keys.create("names", "index").primary.handle
    sealed = orders.seal(b"data")
    for message in (
        keyring.encrypt(b"data", key_id="others", associated_data=BOUND),
        keyring.encrypt(b"data", key_id="orders", associated_data=b"customers.name"),
        sealed[:4] + index + sealed[12:],
        sealed[:4] + bytes(8) + sealed[12:],
        sealed[:-1],
        sealed[:7],
        b"",
    ):
        with pytest.raises(DecryptionError):
            orders.open(message)


def test_versions_are_those_of_the_moment(keyring: Keyring, orders: BoundCipher) -> None:
    """The newest seals, former ones open, and one that is suspended does neither."""
    former = orders.seal(b"former")
    keyring.provider.keys.rotate("orders")
    keyring.refresh()
    newer = orders.seal(b"newer")
    assert keyring.describe(newer).version == 2
    assert (orders.open(former), orders.open(newer)) == (b"former", b"newer")
    keyring.provider.states.apply(Verb.SUSPEND, "orders:v1")
    keyring.refresh()
    with pytest.raises(KeyStateError):
        orders.open(former)
    assert orders.open(newer) == b"newer"


def test_each_message_is_a_use(keyring: Keyring, orders: BoundCipher) -> None:
    """As it is counted for the keyring's own."""
    held = keyring._cache.protecting("orders", keyring.provider.keys.get("orders").key_type)
    held.protected.take(), held.opened.take()
    message = orders.seal(b"data")
    orders.open(message)
    orders.open(message)
    assert (held.protected.take(), held.opened.take()) == (1, 2)


def test_a_name_is_of_a_key_that_encrypts(keyring: Keyring) -> None:
    """A version is none: those of all versions are opened."""
    with pytest.raises(InvalidInputError, match="name the key alone"):
        keyring.bound(key_id="orders:v1", associated_data=BOUND)
    with pytest.raises(KeyNotFoundError):
        keyring.bound(key_id="nobody", associated_data=BOUND).seal(b"data")
    with pytest.raises(KeyUsageError):
        keyring.bound(key_id="tags", associated_data=BOUND).seal(b"data")


def test_a_closed_keyring_opens_nothing(keyring: Keyring, orders: BoundCipher) -> None:
    """No key is held anywhere else."""
    message = orders.seal(b"data")
    keyring.close()
    with pytest.raises(StoreUnavailableError):
        orders.open(message)
    with pytest.raises(StoreUnavailableError):
        orders.seal(b"data")
