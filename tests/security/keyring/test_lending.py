"""Keys of fields: what is lent makes what the keyring makes, for as long as that knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    KeyNotFoundError,
    KeyStateError,
    KeyUsageError,
)
from mycelium_fractal_net.security.key_store.freshness import STALE_SECONDS, Freshness
from mycelium_fractal_net.security.key_store.usage import LEASE
from mycelium_fractal_net.security.records.index_fields import IndexField
from mycelium_fractal_net.security.records.keys import Verb
from mycelium_fractal_net.security.sealed.blind_index import FieldKey
from mycelium_fractal_net.security.sealed.deterministic import DeterministicCipher
from tests.support.stores import keyring_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.keyring.keyring import Keyring

NAME, CONTEXT = "customers-index", b"customers.email"


@pytest.fixture
def keyring(local_provider: LocalKeyProvider) -> Iterator[Keyring]:
    """With a key for an index that was rotated."""
    local_provider.keys.create(NAME, "index")
    local_provider.keys.rotate(NAME)
    with keyring_over(local_provider) as opened:
        yield opened


def test_what_is_lent_makes_the_tags_of_its_field(keyring: Keyring) -> None:
    """Of every version that is searched, newest first; one of them makes what is stored."""
    lent = keyring.index_field_keys(key_id=NAME, context=CONTEXT, bits=12)
    field = IndexField(CONTEXT, 12)
    tags = keyring.index_tags("alice", key_id=NAME, context=CONTEXT, bits=12)
    assert [FieldKey(each.key, field).tag("alice") for each in lent.keys] == tags
    assert [each.version_id for each in lent.keys] == [f"{NAME}:v2", f"{NAME}:v1"]
    assert (lent.key_id, lent.stored) == (NAME, f"{NAME}:v1")
    assert [each.opens for each in lent.keys] == [False, True]
    assert 0 < lent.seconds <= STALE_SECONDS
    assert repr(bytes(lent.keys[0].key)) not in repr(lent)


def test_it_counts_as_a_lease(keyring: Keyring) -> None:
    """So that a version is not taken for one that nobody uses."""
    keyring.index_field_keys(key_id=NAME, context=CONTEXT)
    keyring.flush()
    handles = [each.handle for each in keyring.provider.keys.get(NAME).versions]
    leased = {each.handle for each in keyring.usage.days(handles) if each.kind == LEASE}
    assert leased == {*handles}


def test_it_is_refused_where_a_search_is(keyring: Keyring) -> None:
    """And for what is no field, or of another type."""
    with pytest.raises(InvalidInputError):
        keyring.index_field_keys(key_id=NAME, context=b"")
    with pytest.raises(KeyUsageError):
        keyring.deterministic_field_keys(key_id=NAME)
    keyring.index_field_keys(key_id=f"{NAME}:v2", context=CONTEXT)
    with pytest.raises(KeyNotFoundError):
        keyring.index_field_keys(key_id=f"{NAME}:v3", context=CONTEXT)
    keyring.provider.states.apply(Verb.DEACTIVATE, f"{NAME}:v1")
    keyring.refresh()
    assert keyring.index_field_keys(key_id=NAME, context=CONTEXT).stored is None
    keyring.provider.states.apply(Verb.COMPROMISE, f"{NAME}:v1")
    keyring.refresh()
    with pytest.raises(KeyStateError, match="would be missed"):
        keyring.index_field_keys(key_id=NAME, context=CONTEXT)


def test_what_is_lent_of_a_deterministic_key_seals_one_field(keyring: Keyring) -> None:
    """As the keyring does, and nothing of another."""
    keyring.provider.keys.create("same", "deterministic")
    (lent,) = keyring.deterministic_field_keys(key_id="same", associated_data=CONTEXT).keys
    made = DeterministicCipher(lent.key, lent.handle, CONTEXT).seal(b"FI")
    (stored,) = keyring.deterministic_messages(b"FI", key_id="same", associated_data=CONTEXT)
    assert (made, lent.opens) == (stored, True)
    given = bytearray(CONTEXT)  # as any buffer
    assert keyring.decrypt(made, associated_data=given) == b"FI"


def test_ciphers_of_many_fields_are_kept_and_let_go(keyring: Keyring) -> None:
    """More than are held at a time, and one that is too long to be remembered."""
    keyring.provider.keys.create("same", "deterministic")
    made = {}
    for field in (*(b"field %d" % n for n in range(300)), bytes(2000)):
        made[field] = keyring.encrypt(
            b"x", key_id="same", associated_data=field, format="deterministic"
        )
    assert len(set(made.values())) == 301
    for field, message in made.items():
        assert keyring.decrypt(message, associated_data=field) == b"x"


def test_nothing_is_left_of_a_reading_that_never_was(local_provider: LocalKeyProvider) -> None:
    """And five seconds at most of one that was."""
    freshness = Freshness(local_provider.store)
    assert freshness.left() == 0
    freshness.refresh()
    assert 0 < freshness.left() <= STALE_SECONDS
