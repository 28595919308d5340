"""Many messages are moved as one is, and nothing that is held outlives what the store says."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    DecryptionError,
    KeyNotFoundError,
    KeyStateError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store.usage import OPEN, PROTECT
from mycelium_fractal_net.security.records.keys import Verb
from mycelium_fractal_net.security.records.open_options import OpenOptions

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring


@pytest.fixture
def messages(keyring: Keyring) -> list[bytes]:
    """Three messages of a version that is not the newest any more."""
    made = [
        keyring.encrypt(b"%d" % number, key_id="orders", associated_data=b"row")
        for number in range(3)
    ]
    keyring.provider.rotate_key("orders")
    keyring.refresh()
    return made


def test_each_is_what_rewrap_makes_of_it(keyring: Keyring, messages: list[bytes]) -> None:
    """Under the newest version, with the associated data that it had; None where it is there."""
    rewrapped = keyring.rewrapper()
    for number, message in enumerate(messages):
        moved = rewrapped(message, b"row")
        assert moved is not None
        assert keyring.describe(moved).newest
        assert keyring.decrypt(moved, associated_data=b"row") == b"%d" % number
        assert rewrapped(moved, b"row") is None
        assert rewrapped.with_plaintext(message, b"row")[0] == b"%d" % number
        assert rewrapped.with_plaintext(moved, b"row") == (b"%d" % number, moved)


def test_all_forms_are_taken(keyring: Keyring) -> None:
    """Those that need more than two keys are found one by one."""
    keyring.provider.keys.create("same", "deterministic")
    enveloped = keyring.data_key(key_id="orders", associated_data=b"k").sealer.seal(b"data")
    equal = keyring.encrypt(b"data", key_id="same", format="deterministic")
    for key in ("orders", "same"):
        keyring.provider.rotate_key(key)
    keyring.refresh()
    rewrapped = keyring.rewrapper(OpenOptions(data_key_associated_data=b"k"))
    for message in (enveloped, equal):
        plaintext, moved = rewrapped.with_plaintext(message)
        assert plaintext == b"data"
        again = rewrapped(message)
        assert again is not None
        assert keyring.describe(moved).newest
        assert keyring.describe(again).newest
        assert rewrapped(moved) is None


def test_what_is_held_is_dropped_when_the_key_is_rotated_again(
    keyring: Keyring, messages: list[bytes]
) -> None:
    """Also what was the newest: from then on it is one that has to be moved."""
    rewrapped = keyring.rewrapper()
    second = rewrapped(messages[0], b"row")
    assert second is not None
    assert rewrapped(second, b"row") is None
    keyring.provider.rotate_key("orders")
    keyring.refresh()
    for message in (messages[1], second):
        moved = rewrapped(message, b"row")
        assert moved is not None
        assert keyring.describe(moved).version == 3


@pytest.mark.parametrize("verb", [Verb.SUSPEND, Verb.COMPROMISE])
def test_a_version_that_is_taken_out_of_use_stops(
    keyring: Keyring, messages: list[bytes], verb: Verb
) -> None:
    """As for every use of the keyring; a compromised one where that is not allowed."""
    rewrapped = keyring.rewrapper()
    allowing = keyring.rewrapper(OpenOptions(allow_compromised=True))
    assert rewrapped(messages[0], b"row") is not None
    keyring.provider.states.apply(verb, "orders:v1")
    keyring.refresh()
    with pytest.raises(KeyStateError):
        rewrapped(messages[1], b"row")
    if verb is Verb.COMPROMISE:
        assert allowing(messages[1], b"row") is not None


def test_what_does_not_open_is_refused_each_time(keyring: Keyring, messages: list[bytes]) -> None:
    """Before and after the version is held."""
    rewrapped = keyring.rewrapper()
    for _ in range(2):
        with pytest.raises(DecryptionError):
            rewrapped(messages[0], b"another row")
        with pytest.raises(DecryptionError):
            rewrapped(messages[0][:-1], b"row")
        with pytest.raises(DecryptionError):
            rewrapped(b"rubbish")
        with pytest.raises(KeyNotFoundError):
            rewrapped(messages[0][:4] + bytes(8) + messages[0][12:])
        assert rewrapped(messages[1], b"row") is not None


def test_each_message_counts_as_one_use(keyring: Keyring, messages: list[bytes]) -> None:
    """Of either version, whether it was held or not."""
    old, new = (keyring.provider.keys.get("orders").version(n) for n in (1, 2))
    keyring.flush()

    def uses() -> tuple[int, int]:
        keyring.flush()
        days = keyring.usage.days([old.handle, new.handle])
        opened = sum(day.count for day in days if (day.handle, day.kind) == (old.handle, OPEN))
        sealed = sum(day.count for day in days if (day.handle, day.kind) == (new.handle, PROTECT))
        return opened, sealed

    before = uses()
    rewrapped = keyring.rewrapper()
    for message in messages:
        rewrapped(message, b"row")
    assert uses() == (before[0] + 3, before[1] + 3)


def test_after_its_keyring_it_holds_nothing(keyring: Keyring, messages: list[bytes]) -> None:
    """A keyring that was closed seals no more, and no copy of it is made."""
    rewrapped = keyring.rewrapper()
    assert rewrapped(messages[0], b"row") is not None
    with pytest.raises(TypeError):
        copy.copy(rewrapped)
    keyring.close()
    with pytest.raises(StoreUnavailableError):
        rewrapped(messages[1], b"row")
