"""How fresh a cached key is, how many there are, and what a fork or an outage does to them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    KeyStateError,
    KeyUsageError,
    StoreUnavailableError,
    UsageLimitError,
)
from mycelium_fractal_net.security.key_store import freshness
from mycelium_fractal_net.security.key_store.usage import RAW_MESSAGES_LIMIT, RAW_MESSAGES_ROTATE
from mycelium_fractal_net.security.keyring import cache as key_cache
from mycelium_fractal_net.security.keyring import counting
from mycelium_fractal_net.security.records.keys import Key, KeyType, Verb
from tests.support.stores import Clock, keyring_over

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.key_store import StoreStatus
    from mycelium_fractal_net.security.keyring.key_in_use import KeyInUse
    from mycelium_fractal_net.security.keyring.keyring import Keyring


class Monotonic:
    """The monotonic clock, moved by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    """The caches' own clock in the test's hand."""
    found = Monotonic()
    for module in (freshness, key_cache, counting):
        monkeypatch.setattr(module, "monotonic", found)
    return found


def break_store(provider: LocalKeyProvider) -> None:
    """Make the database unreadable, as an outage does."""
    file = provider.store.database.file
    assert file is not None
    provider.store.database.close()
    for suffix in ("", "-wal", "-shm"):
        path = file.with_name(file.name + suffix)
        if path.exists():
            path.rename(path.with_name(path.name + ".away"))
    file.mkdir()


def mend_store(provider: LocalKeyProvider) -> None:
    """Put the database back."""
    file = provider.store.database.file
    assert file is not None
    file.rmdir()
    for path in file.parent.glob("*.away"):
        path.rename(path.with_suffix(""))


def test_a_change_of_state_reaches_others_within_the_refresh_time(
    monotonic: Monotonic, local_provider: LocalKeyProvider
) -> None:
    """A key that another process suspended works until the next reading, and no longer."""
    local_provider.keys.create("orders")
    with keyring_over(local_provider) as keyring:
        sealed = keyring.encrypt(b"data", key_id="orders")
        local_provider.states.apply(Verb.SUSPEND, "orders")
        monotonic.now += freshness.REFRESH_SECONDS - 0.01
        assert keyring.decrypt(sealed) == b"data"
        assert keyring.encrypt(b"data", key_id="orders")
        monotonic.now += 0.02
        with pytest.raises(KeyStateError):
            keyring.decrypt(sealed)
        with pytest.raises(KeyStateError):
            keyring.encrypt(b"data", key_id="orders")


def test_a_rotation_reaches_others_and_other_keys_stay_cached(
    monotonic: Monotonic, local_provider: LocalKeyProvider
) -> None:
    """Only what changed is loaded again."""
    local_provider.keys.create("orders")
    local_provider.keys.create("invoices")
    with keyring_over(local_provider) as keyring:
        kept = keyring._cache.protecting("invoices", KeyType.ENCRYPTION)
        assert keyring.describe(keyring.encrypt(b"", key_id="orders")).version == 1
        local_provider.rotate_key("orders")
        monotonic.now += freshness.REFRESH_SECONDS
        assert keyring.describe(keyring.encrypt(b"", key_id="orders")).version == 2
        assert keyring._cache.protecting("invoices", KeyType.ENCRYPTION) is kept


def test_an_outage_is_bridged_for_five_seconds_and_then_said(
    monotonic: Monotonic, local_provider: LocalKeyProvider
) -> None:
    """A cached key goes on working until it can no longer be known to be good."""
    local_provider.keys.create("orders")
    with keyring_over(local_provider) as keyring:
        sealed = keyring.encrypt(b"data", key_id="orders")
        assert keyring.decrypt(sealed) == b"data"
        break_store(local_provider)
        monotonic.now += freshness.STALE_SECONDS - 0.01
        assert keyring.decrypt(sealed) == b"data"
        monotonic.now += 0.02
        with pytest.raises(StoreUnavailableError):
            keyring.decrypt(sealed)
        with pytest.raises(StoreUnavailableError):
            keyring.encrypt(b"data", key_id="orders")
        mend_store(local_provider)
        assert keyring.decrypt(sealed) == b"data"


def test_a_key_is_unwrapped_again_after_its_lifetime(
    monotonic: Monotonic, local_provider: LocalKeyProvider
) -> None:
    """Nothing stays in memory longer than the configured time."""
    local_provider.keys.create("orders")
    with keyring_over(local_provider, cache_seconds=60) as keyring:
        first = keyring._cache.protecting("orders", KeyType.ENCRYPTION)
        record = keyring._cache.record("orders")
        monotonic.now += 59
        assert keyring._cache.protecting("orders", KeyType.ENCRYPTION) is first
        assert keyring._cache.record("orders") is record
        monotonic.now += 1
        assert keyring._cache.protecting("orders", KeyType.ENCRYPTION) is not first
        assert keyring._cache.record("orders") is not record


def test_the_cache_holds_no_more_than_its_bound_and_loses_no_count(
    local_provider: LocalKeyProvider,
) -> None:
    """Keys past the bound push out the oldest, whose uses are still written."""
    names = [f"k{number}" for number in range(6)]
    for name in names:
        local_provider.keys.create(name)
    with keyring_over(local_provider, cache_keys=2) as keyring:
        for _ in range(3):
            for name in names:
                keyring.encrypt(b"data", key_id=name)
        cache = keyring._cache
        assert len(cache._by_handle) <= 2
        assert len(cache._primaries) <= 2
        assert len(cache._records) <= 2
        keyring.flush()
        assert not cache._retired
        handles = [local_provider.keys.get(name).latest.handle for name in names]
        assert [day.count for day in keyring.usage.days(handles)] == [3] * 6


def test_each_day_has_its_own_count_and_begins_durably(
    monotonic: Monotonic, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """The first use after midnight is in the store before its answer."""
    local_provider.keys.create("orders")
    handle = local_provider.keys.get("orders").latest.handle
    with keyring_over(local_provider, cache_seconds=1e9) as keyring:
        for _ in range(3):
            keyring.encrypt(b"data", key_id="orders")
        clock.forward(hours=12)
        monotonic.now += 12 * 3600
        keyring.encrypt(b"data", key_id="orders")
        first, second = keyring.usage.days([handle])
        assert (second.day - first.day, first.count, second.count) == (1, 3, 0)
        keyring.flush()
        assert [day.count for day in keyring.usage.days([handle])] == [3, 1]


def test_counts_are_written_now_and_then_without_being_asked(
    monotonic: Monotonic, local_provider: LocalKeyProvider
) -> None:
    """A process that lives long loses half a minute of counts at the most."""
    local_provider.keys.create("orders")
    handle = local_provider.keys.get("orders").latest.handle
    with keyring_over(local_provider) as keyring:
        keyring.encrypt(b"data", key_id="orders")
        monotonic.now += 31
        keyring.encrypt(b"data", key_id="orders")
        assert keyring.usage.days([handle])[0].count >= 1


def test_threads_lose_no_count(local_provider: LocalKeyProvider) -> None:
    """Two thousand uses from four threads are two thousand."""
    local_provider.keys.create("orders")
    handle = local_provider.keys.get("orders").latest.handle
    with keyring_over(local_provider) as keyring:

        def work() -> None:
            for _ in range(500):
                keyring.encrypt(b"data", key_id="orders")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        keyring.flush()
        assert keyring.usage.days([handle])[0].count == 2000


# Raw messages ---------------------------------------------------------------------------------


def test_raw_messages_are_reserved_in_growing_blocks(local_provider: LocalKeyProvider) -> None:
    """A single message reserves one; steady traffic writes seldom; none goes uncounted."""
    local_provider.keys.create("orders")
    handle = local_provider.keys.get("orders").latest.handle
    with keyring_over(local_provider) as keyring:
        reserved = []
        for _ in range(300):
            keyring.encrypt(b"data", key_id="orders", format="raw")
            reserved.append(keyring.usage.raw_reserved(handle))
        assert reserved[0] == 1
        assert all(total >= used for used, total in enumerate(reserved, 1))
        assert sorted(set(reserved)) == [1, 17, 273, 4369]


def test_a_raw_key_is_rotated_long_before_its_limit(local_provider: LocalKeyProvider) -> None:
    """At 2^31 messages the key gets a new version by itself, and its count starts anew."""
    local_provider.keys.create("orders")
    handle = local_provider.keys.get("orders").latest.handle
    with keyring_over(local_provider) as keyring:
        keyring.usage.reserve_raw(handle, RAW_MESSAGES_ROTATE - 1)
        old = keyring.encrypt(b"data", key_id="orders", format="raw")
        assert local_provider.keys.get("orders").latest.version == 2
        new = keyring.encrypt(b"data", key_id="orders", format="raw")
        assert keyring.decrypt(old, key_id="orders:v1", format="raw") == b"data"
        assert keyring.decrypt(new, key_id="orders:v2", format="raw") == b"data"


def test_a_raw_version_is_refused_at_its_limit(local_provider: LocalKeyProvider) -> None:
    """2^32 messages, and not one more, whoever reserved them."""
    local_provider.keys.create("orders")
    handle = local_provider.keys.get("orders").latest.handle
    with keyring_over(local_provider) as keyring:
        keyring.usage.reserve_raw(handle, RAW_MESSAGES_LIMIT)
        with pytest.raises(UsageLimitError):
            keyring.encrypt(b"data", key_id="orders", format="raw")
        assert keyring.encrypt(b"data", key_id="orders")


# Forks ----------------------------------------------------------------------------------------


def in_child(work) -> int:  # type: ignore[no-untyped-def]
    """Run ``work`` in a forked child; 0 where it returned True."""
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_shares_no_block_of_raw_messages(keyring: Keyring) -> None:
    """Parent and child count apart: what the child uses was reserved by the child."""
    for _ in range(3):
        keyring.encrypt(b"data", key_id="orders", format="raw")
    handle = keyring.provider.keys.get("orders").latest.handle
    before = keyring.usage.raw_reserved(handle)

    def work() -> bool:
        keyring.encrypt(b"data", key_id="orders", format="raw")
        return keyring.usage.raw_reserved(handle) == before + 1

    assert in_child(work) == 0


def test_a_forked_child_does_not_count_its_parents_uses_again(keyring: Keyring) -> None:
    """Uses that the parent has still to write are the parent's alone."""
    for _ in range(3):
        keyring.encrypt(b"data", key_id="orders")

    def work() -> bool:
        keyring.encrypt(b"data", key_id="orders")
        keyring.close()
        return True

    assert in_child(work) == 0
    keyring.flush()
    handle = keyring.provider.keys.get("orders").latest.handle
    assert keyring.usage.days([handle])[0].count == 4


# What happens between two steps ---------------------------------------------------------------


def test_a_change_noticed_while_a_key_is_loaded_makes_it_load_again(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before a change never stays in the cache after it."""
    local_provider.keys.create("orders")
    with keyring_over(local_provider) as keyring:
        keyring.refresh()
        load, loads = local_provider.keys.get, []

        def load_and_be_overtaken(key_id: str) -> Key:
            found = load(key_id)
            loads.append(found.latest.version)
            if len(loads) == 1:
                local_provider.keys.rotate_from("orders:v1")
                keyring.refresh()
            return found

        monkeypatch.setattr(local_provider.keys, "get", load_and_be_overtaken)
        assert keyring.describe(keyring.encrypt(b"data", key_id="orders")).version == 2
        assert loads[0] == 1
        assert loads[-1] == 2


def test_a_version_dropped_while_it_is_found_is_used_once_and_not_kept(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change between finding the version and keeping it leaves nothing stale behind."""
    local_provider.keys.create("orders")
    with keyring_over(local_provider) as keyring:
        cache = keyring._cache
        opening = cache.opening

        def open_and_be_overtaken(handle: bytes) -> KeyInUse:
            found = opening(handle)
            local_provider.states.apply(Verb.SUSPEND, "orders")
            cache.refresh()
            return found

        monkeypatch.setattr(cache, "opening", open_and_be_overtaken)
        keyring.encrypt(b"data", key_id="orders")
        monkeypatch.undo()
        with pytest.raises(KeyStateError):
            keyring.encrypt(b"data", key_id="orders")


def test_threads_that_wait_for_a_reading_do_not_read_again(
    monotonic: Monotonic, local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reading of the store serves all who waited for it, records included."""
    local_provider.keys.create("orders")
    with keyring_over(local_provider) as keyring:
        keyring._cache.record("orders")
        pulses: list[StoreStatus] = []
        status = local_provider.store.require_status

        def counted() -> StoreStatus:
            pulses.append(status())
            return pulses[-1]

        monkeypatch.setattr(local_provider.store, "require_status", counted)
        monotonic.now += freshness.REFRESH_SECONDS
        threads = [threading.Thread(target=keyring._cache.record, args=["orders"]) for _ in "abc"]
        with keyring._cache._lock:
            for thread in threads:
                thread.start()
            keyring.refresh()
        for thread in threads:
            thread.join()
        assert len(pulses) == 1


def test_two_threads_begin_a_day_once(local_provider: LocalKeyProvider) -> None:
    """The one that comes second finds it begun, and no count is taken twice."""
    local_provider.keys.create("orders")
    with keyring_over(local_provider) as keyring:
        found = keyring._cache.protecting("orders", KeyType.ENCRYPTION)
        keyring._cache.counts.begin_day(found, found.protected, "protect")
        keyring.flush()
        (day,) = keyring.usage.days([found.version.handle])
        assert day.count == 1


def test_a_child_forgets_the_keys_of_its_parent(keyring: Keyring) -> None:
    """What runs after a fork begins with an empty cache."""
    keyring.encrypt(b"data", key_id="orders")
    keyring._cache._start()
    assert not keyring._cache._by_handle


def test_a_key_without_a_public_part_verifies_nothing(keyring: Keyring) -> None:
    """A MAC key's version has no public key to hand out."""
    handle = keyring.provider.keys.get("tags").latest.handle
    with pytest.raises(KeyUsageError, match="no public key"):
        _ = keyring._cache.opening(handle).verifying


def test_a_key_is_unwrapped_once_for_many_uses(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signing, sealing, raw, MACs: the second use asks neither store nor custodian."""
    uses = [
        lambda: keyring.sign(b"data", key_id="release"),
        lambda: keyring.encrypt(b"data", key_id="orders"),
        lambda: keyring.encrypt(b"data", key_id="orders", format="raw"),
        lambda: keyring.mac(b"data", key_id="tags"),
        lambda: keyring.verify(b"data", keyring.sign(b"data", key_id="release"), key_id="release"),
    ]
    for use in uses:
        use()

    def asked(*arguments: object) -> bytes:
        raise AssertionError("unwrapped again")

    monkeypatch.setattr(keyring.provider.keys, "unwrap", asked)
    for use in uses:
        use()


@pytest.mark.parametrize("verb", [None, Verb.COMPROMISE])
def test_what_changes_while_a_key_is_looked_up_is_not_kept_as_the_newest(
    monotonic: Monotonic,
    local_provider: LocalKeyProvider,
    monkeypatch: pytest.MonkeyPatch,
    verb: Verb | None,
) -> None:
    """Its record was read, it was rotated or compromised, and time went by before the rest was.

    The model of campaigns/model found it: what was looked up then stayed in use for minutes.
    """
    local_provider.keys.create("orders")
    get = local_provider.keys.get

    def slowly(record_id: str) -> Key:
        found = get(record_id)
        monkeypatch.undo()
        for module in (freshness, key_cache, counting):
            monkeypatch.setattr(module, "monotonic", monotonic)
        if verb is not None:
            local_provider.states.apply(verb, "orders:v1")
        local_provider.keys.rotate("orders")
        monotonic.now += freshness.REFRESH_SECONDS + 1
        return found

    with keyring_over(local_provider) as keyring:
        keyring.refresh()
        monkeypatch.setattr(local_provider.keys, "get", slowly)
        for _ in range(2):
            assert keyring.encrypt_result(b"hello", key_id="orders").key_id == "orders:v2"


def held(keyring: Keyring) -> list[KeyInUse]:
    """The versions whose keys are in its cache."""
    return list(keyring._cache._by_handle.values())


@pytest.fixture
def warm(local_provider: LocalKeyProvider) -> tuple[Keyring, list[KeyInUse]]:
    """A keyring that has used a key of each kind, and what it holds of them."""
    keyring = keyring_over(local_provider, cache_seconds=300.0, cache_keys=3)
    for name, kind in (("orders", "encryption"), ("release", "signing"), ("codes", "mac")):
        local_provider.keys.create(name, kind)
    keyring.encrypt(b"x", key_id="orders")
    keyring.encrypt(b"x", key_id="orders", format="raw")
    keyring.sign(b"x", key_id="release")
    keyring.mac(b"x", key_id="codes")
    return keyring, held(keyring)


def has_a_key(found: KeyInUse) -> bool:
    """Whether anything that it refers to is its key."""
    one = (found._material, found._sealer, found._raw, found._signing, found._mac_key)
    lookups = (found._index_key, found._fields, found._deterministic_key, found._ciphers)
    return any((*one, *lookups))


def test_a_key_that_makes_room_is_forgotten_at_once(
    warm: tuple[Keyring, list[KeyInUse]], local_provider: LocalKeyProvider
) -> None:
    """Not when its counts are written; whoever was at work with it may go on."""
    keyring, before = warm
    assert all(map(has_a_key, before))
    sealer = before[0].sealer
    for number in range(3):
        local_provider.keys.create(f"other-{number}")
        keyring.encrypt(b"x", key_id=f"other-{number}")
    assert not any(map(has_a_key, before))
    assert sealer.open(sealer.seal(b"still")) == b"still"


def test_a_key_that_nobody_uses_any_more_is_forgotten_after_its_lifetime(
    monotonic: Monotonic, warm: tuple[Keyring, list[KeyInUse]]
) -> None:
    """With the counts, which are written every 30 seconds: no use of it has to come first."""
    keyring, before = warm
    monotonic.now += 299
    keyring.flush()
    assert all(map(has_a_key, before))
    monotonic.now += 1
    keyring.flush()
    assert held(keyring) == []
    assert not any(map(has_a_key, before))


def test_a_keyring_that_is_closed_holds_no_key(
    warm: tuple[Keyring, list[KeyInUse]], local_provider: LocalKeyProvider
) -> None:
    """Neither those of the store nor the master key."""
    keyring, before = warm
    custodian, macs = local_provider.custodian, local_provider.record_macs
    assert custodian._keys
    assert macs._macs
    keyring.close()
    assert not any(map(has_a_key, before))
    assert (custodian._keys, macs._macs) == ({}, {})
