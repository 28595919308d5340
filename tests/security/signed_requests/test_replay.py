"""The replay guard: each nonce once, across threads, processes and restarts."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    StoreFullError,
    StoreIntegrityError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store import Database, NonceStore
from mycelium_fractal_net.security.signed_requests.refusals import Refusals
from mycelium_fractal_net.security.signed_requests.replay import (
    Nonce,
    ReplayGuard,
    Taken,
    _Group,
    nonce_digest,
    unstored,
)
from mycelium_fractal_net.security.signed_requests.verifier import _settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider


def nonce(seconds: int = 300) -> Nonce:
    return Nonce(os.urandom(32), int(time.time()) + seconds)


@pytest.fixture
def store(provider: LocalKeyProvider) -> NonceStore:
    """The nonces of a store, on SQLite and on PostgreSQL."""
    return NonceStore(provider.store.database)


@pytest.fixture
def guard(store: NonceStore) -> Iterator[ReplayGuard]:
    opened = ReplayGuard(store)
    yield opened
    opened.close()


def test_a_nonce_is_taken_once(guard: ReplayGuard, store: NonceStore) -> None:
    """By this process, by another guard, and after a restart."""
    one, other = nonce(), nonce()
    assert guard.take(one)
    assert not guard.take(one)
    assert guard.take(other)
    guard.close()
    again = ReplayGuard(store)
    assert not again.take(one)
    again.close()
    again.close()


def test_of_those_that_come_together_one_is_taken(guard: ReplayGuard) -> None:
    """In one group, and from many threads."""
    twice = nonce()
    results: list[Taken] = []
    guard.submit([twice, nonce(), twice], results.append)
    guard.take(nonce())
    assert results == [[True, True, False]]
    many = nonce()
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: guard.take(many), range(40)))
    assert sum(taken) == 1


def _race(url: str, nonces: list[Nonce], results: multiprocessing.Queue[list[bool]]) -> None:
    database = Database(url)
    guard = ReplayGuard(NonceStore(database))
    results.put([guard.take(each) for each in nonces])
    guard.close()
    database.close()


def test_two_processes_take_each_nonce_once(provider: LocalKeyProvider) -> None:
    """Whichever is first."""
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[list[bool]] = context.Queue()
    nonces = [nonce() for _ in range(20)]
    url = provider.store.database.url
    processes = [context.Process(target=_race, args=(url, nonces, results)) for _ in range(2)]
    for process in processes:
        process.start()
    first, second = results.get(timeout=30), results.get(timeout=30)
    for process in processes:
        process.join()
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_what_expired_long_ago_is_forgotten(store: NonceStore) -> None:
    """By the clock of the store, and not before the skew has passed twice."""
    old, late, fresh = nonce(-100), nonce(-30), nonce()
    assert store.take([old, late, fresh]) == {old.digest, late.digest, fresh.digest}
    assert store.purge(60) == 1
    assert store.take([old, late, fresh]) == {old.digest}


def test_the_guard_forgets_by_itself(
    store: NonceStore, guard: ReplayGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Now and then, while it waits for more."""
    old = nonce(-1000)
    monkeypatch.setattr("mycelium_fractal_net.security.signed_requests.replay._PURGE_SECONDS", 0.05)
    quick = ReplayGuard(store)
    assert quick.take(old)
    deadline = time.monotonic() + 10
    while not quick.take(old):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    quick.close()


def test_a_store_that_is_gone_takes_nothing(
    local_provider: LocalKeyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """The request is refused, and whoever serves is told; when the store is back it serves."""
    database = local_provider.store.database
    guard = ReplayGuard(NonceStore(database))
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE mfn_request_nonces RENAME TO elsewhere")
    wanted = nonce()
    with pytest.raises(
        StoreUnavailableError, match=r"cannot be stored: .*its tables are"
    ) as caught:
        guard.take(wanted)
    assert "its tables are missing or were changed" in str(caught.value.detail)
    guard._purge()
    with pytest.raises(StoreUnavailableError):
        guard.take(wanted)
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO mfn_request_nonces")
    assert guard.take(wanted)
    guard.close()
    assert [each.getMessage().partition(":")[0] for each in caplog.records] == [
        "the nonces of requests were not stored",
        "the nonces that expired were not forgotten",
        "the nonces of requests were not stored",
    ]


def test_whoever_waits_for_a_nonce_is_told_why_it_is_not_stored() -> None:
    """With the class of the cause and what it says over HTTP; each with an error of its own."""

    async def refused() -> list[BaseException | None]:
        futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
        _settle(futures, StoreFullError("the disk is full (keys.db)", detail="the disk is full"))
        return [each.exception() for each in futures]

    one, other = asyncio.run(refused())
    assert one is not other
    assert isinstance(one, StoreFullError)
    assert str(one) == "the nonces of requests cannot be stored: the disk is full (keys.db)"
    answer = Refusals().answer(one, verified=True)
    assert answer._problem["detail"].endswith("sign it anew and try again: the disk is full")
    assert str(unstored(StoreIntegrityError("a row"))) == str(unstored())


def test_a_nonce_that_is_waited_for_too_long_is_not_taken(store: NonceStore) -> None:
    """Nobody says why: nothing is known."""
    guard = ReplayGuard(store)
    with pytest.raises(StoreUnavailableError, match=r"cannot be stored$"):
        guard.take(nonce(), timeout=0)
    guard.close()


def test_a_child_has_a_guard_of_its_own(local_provider: LocalKeyProvider) -> None:
    """The parent's thread is not in it; what the parent took is taken."""
    guard = ReplayGuard(NonceStore(local_provider.store.database))
    taken, other = nonce(), nonce()
    assert guard.take(taken)
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if guard.take(other) and not guard.take(taken) else 2
            guard.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not guard.take(other)
    guard.close()


class Purging(NonceStore):
    """A store that remembers what it was asked to forget."""

    def __init__(self, provider: LocalKeyProvider) -> None:
        super().__init__(provider.store.database)
        self.asked: list[int] = []

    def purge(self, after_seconds: int) -> int:
        self.asked.append(after_seconds)
        return super().purge(after_seconds)


def test_a_nonce_is_remembered_for_twice_the_skew_after_its_request_expired(
    local_provider: LocalKeyProvider,
) -> None:
    """The signer's clock may be ahead as far as this one is behind; then a minute goes by."""
    store = Purging(local_provider)
    before = time.monotonic()
    usual, narrow = ReplayGuard(store), ReplayGuard(store, skew_seconds=5)
    assert 60 <= usual._next_purge - before < 120
    before = time.monotonic()
    usual._purge()
    narrow._purge()
    assert store.asked == [60, 10]
    assert 60 <= usual._next_purge - before < 120
    assert usual.take(nonce())  # which looks whether it is time
    usual.close()
    assert store.asked == [60, 10]


def test_a_guard_that_nobody_asks_forgets_all_the_same(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wakes when it is time, and not before."""
    monkeypatch.setattr("mycelium_fractal_net.security.signed_requests.replay._PURGE_SECONDS", 0.05)
    store = Purging(local_provider)
    guard = ReplayGuard(store)
    assert guard.take(nonce())
    deadline = time.monotonic() + 10
    while len(store.asked) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    guard.close()
    began = time.monotonic()
    assert ReplayGuard(store)._next_groups() == ([], False)
    assert time.monotonic() - began >= 0.04


def test_a_transaction_takes_no_group_beyond_its_bound(
    store: NonceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups are never split: the one that reaches the bound is the last."""
    monkeypatch.setattr("mycelium_fractal_net.security.signed_requests.replay._MOST_NONCES", 3)
    guard = ReplayGuard(store)
    for count in (1, 2, 1, 1, 1, 4, 1):
        guard._queue.put(_Group([nonce() for _ in range(count)], print))
    guard._queue.put(None)
    taken: list[list[int]] = []
    ending = False
    while not ending:
        groups, ending = guard._next_groups()
        taken.append([len(each.nonces) for each in groups])
    assert taken == [[1, 2], [1, 1, 1], [4], [1]]


def test_the_guards_thread_ends_with_its_process(guard: ReplayGuard) -> None:
    """It keeps no interpreter from ending, and is named in every dump of threads."""
    guard.take(nonce())
    assert guard._thread is not None
    assert (guard._thread.name, guard._thread.daemon) == ("mfn-replay", True)


def test_what_is_stored_of_a_nonce_is_the_same_in_every_release() -> None:
    """Else a request could be sent once more to an instance of the next one."""
    thumbprint = bytes(range(32))
    wanted = hashlib.sha256(b"mycelium-fractal-net/nonce/v1" + thumbprint + b"abc").digest()
    assert nonce_digest(thumbprint, "abc") == wanted


def test_nonces_of_two_signers_never_meet() -> None:
    """The key is part of what is stored, and the nonce itself is not to be read there."""
    assert nonce_digest(b"key one", "n") != nonce_digest(b"key two", "n")
    assert len(nonce_digest(b"key", "n")) == 32


def test_a_guard_that_was_never_asked_closes(store: NonceStore) -> None:
    """It has no thread to end."""
    ReplayGuard(store).close()
