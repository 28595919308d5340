"""One reading of the store for all caches, and threads that must not wait for it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.blocking import WouldBlockError
from mycelium_fractal_net.security.errors import MfnError, StoreUnavailableError
from mycelium_fractal_net.security.key_store import freshness
from mycelium_fractal_net.security.key_store.freshness import Freshness
from tests.support.stores import keyring_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.key_store import StoreStatus
    from mycelium_fractal_net.security.keyring.keyring import Keyring


class Monotonic:
    """The monotonic clock, moved by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Listener:
    """Remembers what it was told, and fails where it is asked to."""

    def __init__(self) -> None:
        self.told: list[tuple[int, bool]] = []
        self.fails = False

    def changed(self, since: int, *, moved: bool) -> None:
        """One change."""
        self.told.append((since, moved))
        if self.fails:
            raise StoreUnavailableError("the key store does not answer")


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    """The clock of the freshness in the test's hand."""
    found = Monotonic()
    monkeypatch.setattr(freshness, "monotonic", found)
    return found


@pytest.fixture
def refusing() -> Iterator[None]:
    """This thread refuses to wait when a test asks it to, and never after the test."""
    yield
    blocking.allow_in_this_thread()


@pytest.fixture
def listener() -> Listener:
    """Somebody who caches rows."""
    return Listener()


@pytest.fixture
def fresh(local_provider: LocalKeyProvider, listener: Listener) -> Freshness:
    """The freshness of a store that one listener caches."""
    made = Freshness(local_provider.store)
    made.subscribe(listener)
    return made


def test_a_store_is_read_every_two_seconds_and_no_more(
    monotonic: Monotonic, fresh: Freshness, local_provider: LocalKeyProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Between two readings nobody is asked."""
    pulses: list[StoreStatus] = []
    status = local_provider.store.require_status

    def counted() -> StoreStatus:
        pulses.append(status())
        return pulses[-1]

    monkeypatch.setattr(local_provider.store, "require_status", counted)
    fresh.ensure()
    assert fresh.until == monotonic.now + freshness.REFRESH_SECONDS
    monotonic.now += freshness.REFRESH_SECONDS - 0.01
    fresh.ensure()
    assert len(pulses) == 1
    monotonic.now += 0.01
    fresh.ensure()
    assert len(pulses) == 2


def test_a_listener_is_told_of_what_changed_since_the_last_reading(
    fresh: Freshness, listener: Listener, local_provider: LocalKeyProvider
) -> None:
    """Not of what was there before, and not where nothing changed."""
    fresh.refresh()
    before = fresh.generation
    local_provider.keys.create("orders")
    fresh.refresh()
    fresh.refresh()
    assert listener.told == [(before, False)]
    assert fresh.generation > before


def test_a_listener_is_told_that_the_store_moved_to_another_master_key(
    fresh: Freshness, listener: Listener, local_provider: LocalKeyProvider
) -> None:
    """Only once, with the change that the move is."""
    fresh.refresh()
    local_provider.master_keys.rotate()
    fresh.refresh()
    local_provider.keys.create("orders")
    fresh.refresh()
    assert [moved for _, moved in listener.told] == [True, False]


def test_a_change_that_a_listener_could_not_take_in_is_told_again(
    fresh: Freshness, listener: Listener, local_provider: LocalKeyProvider
) -> None:
    """Until he has, the store counts as unread."""
    fresh.refresh()
    before = fresh.generation
    local_provider.keys.create("orders")
    listener.fails = True
    with pytest.raises(StoreUnavailableError):
        fresh.refresh()
    listener.fails = False
    fresh.refresh()
    assert listener.told == [(before, False), (before, False)]


def test_an_outage_is_bridged_until_the_last_reading_is_stale(
    monotonic: Monotonic, fresh: Freshness, listener: Listener, local_provider: LocalKeyProvider
) -> None:
    """Meanwhile the store is tried again at most five times a second."""
    fresh.ensure()
    local_provider.keys.create("orders")
    listener.fails = True
    monotonic.now += freshness.STALE_SECONDS - 0.1
    fresh.ensure()
    assert fresh.until == pytest.approx(monotonic.now + 0.1)
    fresh.ensure()
    assert len(listener.told) == 1
    monotonic.now += 0.1
    with pytest.raises(StoreUnavailableError):
        fresh.ensure()


def test_learning_that_nobody_answers_makes_what_is_cached_older(
    monotonic: Monotonic, fresh: Freshness, local_provider: LocalKeyProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A reading that took three seconds to fail ends later than it began."""

    def silent() -> StoreStatus:
        monotonic.now += 3
        raise StoreUnavailableError("the key store does not answer")

    fresh.ensure()
    monkeypatch.setattr(local_provider.store, "require_status", silent)
    monotonic.now += freshness.STALE_SECONDS - 1
    with pytest.raises(StoreUnavailableError):
        fresh.ensure()
    assert fresh.age() == freshness.STALE_SECONDS + 2


def test_who_waited_for_a_reading_that_failed_does_not_try_again(
    monotonic: Monotonic, fresh: Freshness, local_provider: LocalKeyProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Many who wait for a silent store would wait one after the other."""
    readings = 0
    refused: list[Exception] = []
    asked = threading.Event()

    def ask() -> None:
        try:
            fresh.ensure()
        except StoreUnavailableError as error:
            refused.append(error)

    def silent() -> StoreStatus:
        nonlocal readings
        readings += 1
        monkeypatch.setattr(freshness, "about_to_block", asked.set)
        other.start()
        asked.wait()
        monotonic.now += 3
        raise StoreUnavailableError("the key store does not answer")

    other = threading.Thread(target=ask)
    monkeypatch.setattr(local_provider.store, "require_status", silent)
    ask()
    other.join()
    assert (readings, len(refused)) == (1, 2)


@pytest.mark.parametrize("read_before", [True, False])
def test_nobody_waits_as_long_as_whoever_reads_a_silent_store(
    monotonic: Monotonic, fresh: Freshness, monkeypatch: pytest.MonkeyPatch, read_before: bool
) -> None:
    """He has the lock, and perhaps for ever."""
    monkeypatch.setattr(freshness, "_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(freshness, "STALE_SECONDS", 0.01)
    if read_before:
        fresh.ensure()
    monotonic.now += 60
    refused: list[Exception] = []

    def ask() -> None:
        try:
            fresh.ensure()
        except StoreUnavailableError as error:
            refused.append(error)

    with fresh.lock:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert len(refused) == 1
    fresh.ensure()


def test_the_age_is_that_of_the_last_reading_that_succeeded(
    monotonic: Monotonic, fresh: Freshness
) -> None:
    """None before the first one."""
    assert fresh.age() is None
    fresh.ensure()
    monotonic.now += 1.5
    assert fresh.age() == 1.5


def test_who_waited_for_a_reading_does_not_read_again(
    monotonic: Monotonic, fresh: Freshness, listener: Listener
) -> None:
    """The reading of whoever held the lock serves him."""
    thread = threading.Thread(target=fresh.ensure)
    with fresh.lock:
        thread.start()
        fresh.refresh()
        read = fresh.until
        monotonic.now += 1
    thread.join()
    assert fresh.until == read


def test_a_forked_child_reads_before_it_trusts_what_it_inherited(fresh: Freshness) -> None:
    """And is not kept out by a lock that a thread of its parent held."""
    fresh.refresh()
    thread_has_it, done = threading.Event(), threading.Event()

    def hold() -> None:
        with fresh.lock:
            thread_has_it.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    thread_has_it.wait()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        unread = fresh.age() is None
        fresh.ensure()
        os._exit(0 if unread and fresh.age() is not None else 1)
    status = os.waitpid(child, 0)[1]
    done.set()
    holder.join()
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_child_reads_the_store_anew(fresh: Freshness) -> None:
    """What runs after a fork makes the reading due."""
    fresh.refresh()
    fresh._start()
    assert fresh.age() is None


# Threads that must not wait -------------------------------------------------------------------


def test_only_the_thread_that_refuses_is_refused(refusing: None) -> None:
    """Its refusal is its own, and it can take it back."""
    blocking.refuse_in_this_thread()
    with pytest.raises(WouldBlockError):
        blocking.about_to_block()
    other = threading.Thread(target=blocking.about_to_block)
    other.start()
    other.join()
    blocking.allow_in_this_thread()
    blocking.about_to_block()


def test_that_a_call_would_block_is_no_error_of_the_package() -> None:
    """So nothing that handles those takes it for an outage."""
    assert not issubclass(WouldBlockError, MfnError)


def test_a_reading_that_is_due_is_refused_and_one_that_is_not_is_none(
    monotonic: Monotonic, fresh: Freshness, refusing: None
) -> None:
    """Whoever only looks at what is fresh goes on."""
    fresh.ensure()
    blocking.refuse_in_this_thread()
    fresh.ensure()
    with pytest.raises(WouldBlockError):
        fresh.refresh()
    monotonic.now += freshness.REFRESH_SECONDS
    with pytest.raises(WouldBlockError):
        fresh.ensure()


def test_a_keyring_never_waits_in_a_thread_that_refuses(keyring: Keyring, refusing: None) -> None:
    """Every first use is refused; the second, after another thread made the first, is not."""
    sealed = keyring.encrypt(b"data", key_id="orders")
    signature = keyring.sign(b"data", key_id="release")
    with keyring_over(keyring.provider) as cold:  # type: ignore[arg-type]
        uses = [
            lambda: cold.encrypt(b"data", key_id="orders"),
            lambda: cold.decrypt(sealed),
            lambda: cold.encrypt(b"data", key_id="orders", format="raw"),
            lambda: cold.describe(sealed),
            lambda: cold.sign(b"data", key_id="release"),
            lambda: cold.verify(b"data", signature, key_id="release"),
            lambda: cold.mac(b"data", key_id="tags"),
        ]
        cold.refresh()
        for use in uses:
            blocking.refuse_in_this_thread()
            with pytest.raises(WouldBlockError):
                use()
            blocking.allow_in_this_thread()
            use()
            cold.encrypt(b"data", key_id="orders", format="raw")
            blocking.refuse_in_this_thread()
            use()
            cold._cache.flush()
            cold._cache._start()
        blocking.allow_in_this_thread()


def test_a_key_that_is_known_and_not_unwrapped_is_not_unwrapped_on_the_loop(
    keyring: Keyring, refusing: None
) -> None:
    """The custodian may be a machine away."""
    sealed = keyring.encrypt(b"data", key_id="orders")
    with keyring_over(keyring.provider) as cold:  # type: ignore[arg-type]
        cold.describe(sealed)
        blocking.refuse_in_this_thread()
        with pytest.raises(WouldBlockError):
            cold.decrypt(sealed)
        blocking.allow_in_this_thread()


def test_what_was_refused_was_not_counted(keyring: Keyring, refusing: None) -> None:
    """The call that is made again elsewhere is one use."""
    keyring.refresh()
    blocking.refuse_in_this_thread()
    with pytest.raises(WouldBlockError):
        keyring.encrypt(b"data", key_id="orders")
    blocking.allow_in_this_thread()
    keyring.encrypt(b"data", key_id="orders")
    keyring.flush()
    handle = keyring.provider.keys.get("orders").latest.handle
    assert keyring.usage.days([handle])[0].count == 1


def test_who_did_not_ask_himself_is_told_the_cause_that_another_met(
    fresh: Freshness, local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While there is one; after a reading that worked it is over."""
    assert "too old" in str(fresh.silent())

    def fails() -> StoreStatus:
        raise StoreUnavailableError("the key store does not serve: why (file)", detail="why")

    with monkeypatch.context() as failing:
        failing.setattr(local_provider.store, "require_status", fails)
        with pytest.raises(StoreUnavailableError):
            fresh.ensure()
        found = fresh.silent()
        assert (str(found), found.detail) == ("the key store does not serve: why (file)", "why")
    fresh.refresh()
    assert "too old" in str(fresh.silent())
