"""RateLimits: permits of fixed windows, taken in blocks, in memory or in Redis."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from mycelium_fractal_net.api.rate_limits.rates import (
    RateCounter,
    RateExceededError,
    RateLimit,
    RateLimits,
    Windows,
)
from mycelium_fractal_net.config.settings import Server
from mycelium_fractal_net.security.blocking import WouldBlockError, refusing
from mycelium_fractal_net.security.errors import ConfigurationError
from tests.support.redis import redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that answers."""
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield f"redis://127.0.0.1:{port}/0"


def taken(rate: RateLimit, who: str, count: int = 1, most: int = 10_000) -> int:
    """How often permits are granted before they are refused."""
    for number in range(most):
        try:
            rate.take(who, count)
        except RateExceededError:
            return number
    return most


@pytest.mark.parametrize(("limit", "granted"), [(1, 1), (10, 10), (99, 99), (200, 200)])
def test_as_many_are_granted_as_the_limit_says(limit: int, granted: int) -> None:
    """Of each who asks, apart from all others."""
    rate = RateLimit("test", f"{limit}/hour", 1, RateCounter(None))
    assert taken(rate, "one") == granted
    assert taken(rate, "another") == granted
    assert taken(rate, "one") == 0


def test_a_large_limit_is_kept_to_a_hundredth() -> None:
    """Blocks are never more than the limit, and at most one of them is not used."""
    rate = RateLimit("test", "1999/hour", 1, RateCounter(None))
    assert 1999 - 19 <= taken(rate, "one") <= 1999


def test_each_process_has_its_share_of_a_limit_in_memory() -> None:
    """And one at least."""
    assert taken(RateLimit("test", "100/hour", 4, RateCounter(None)), "one") == 25
    assert taken(RateLimit("test", "2/hour", 4, RateCounter(None)), "one") == 1


def test_permits_come_back_with_the_next_window() -> None:
    """The refusal says when that is."""
    rate = RateLimit("test", "5/second", 1, RateCounter(None))
    assert taken(rate, "one") == 5
    with pytest.raises(RateExceededError) as refused:
        rate.take("one")
    assert refused.value.retry_after == 1
    assert "5 in a second" in str(refused.value)
    time.sleep(1.1)
    assert taken(rate, "one") == 5


def test_many_permits_at_once_are_granted_together_or_not_at_all() -> None:
    """A batch with more items than there are permits has none of them done."""
    rate = RateLimit("test", "1000/hour", 1, RateCounter(None))
    assert taken(rate, "one", 300) == 3
    rate = RateLimit("test", "100/hour", 1, RateCounter(None))
    with pytest.raises(RateExceededError):
        rate.take("one", 101)


def test_processes_count_together_in_redis(redis_url: str) -> None:
    """Whichever of them a request comes to; the limit is not divided then."""
    rates = [RateLimit("together", "100/hour", 2, RateCounter(redis_url)) for _ in range(2)]
    assert sum(taken(rate, "one", most=70) for rate in rates) == 100


def test_a_thread_that_does_not_wait_never_asks_redis(redis_url: str) -> None:
    """It is told before anything is counted; what is at hand it takes by itself."""
    server = Server(
        items_per_credential="1000/hour", items_per_address="500/hour", rate_limit_storage=redis_url
    )
    rates = RateLimits.of(server)
    assert rates is not None
    with refusing(), pytest.raises(WouldBlockError):
        rates.take_items("waits", "203.0.113.1", 3)
    rates.take_items("waits", "203.0.113.1", 3)
    with refusing():
        rates.take_items("waits", "203.0.113.1", 2)
        with pytest.raises(WouldBlockError):
            rates.take_items("waits", "203.0.113.1", 6)
    assert rates.items_per_credential is not None
    assert rates.items_per_credential.has("waits", 5)


def test_while_redis_does_not_answer_each_process_counts_by_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no moment without a limit, and none in which all is refused; it is told once."""
    now = 100.0
    with redis_server(tmp_path) as port:
        counting = RateCounter(f"redis://127.0.0.1:{port}/0", lambda: now)
        rate = RateLimit("outage", "40/hour", 2, counting)
        rate.take("one")
        assert counting.state == "ok"
    assert taken(rate, "one") == 20
    assert counting.state == "in-memory"
    assert not counting.is_remote
    assert taken(rate, "another") == 20
    with redis_server(tmp_path, port):
        now += 6.0
        assert counting.is_remote
        assert taken(rate, "a third") == 40
        assert counting.state == "ok"
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


@pytest.mark.parametrize(
    "wrong",
    ["memory://", "http://a", "valkey://a", "redis://127.0.0.1:nonsense/0", "async+redis://a"],
)
def test_another_storage_than_redis_refuses_to_start(wrong: str) -> None:
    """Without showing its URL, which can hold a password."""
    with pytest.raises(ConfigurationError, match=r"server\.rate_limit_storage") as refused:
        RateCounter(wrong)
    assert wrong not in str(refused.value)
    assert "secret" not in repr(Server(rate_limit_storage="redis://:secret@127.0.0.1"))


def test_without_limits_nothing_is_counted() -> None:
    """As it is by default."""
    assert RateLimits.of(Server()) is None


@pytest.mark.parametrize("wrong", ["600", "0/minute", "-1/minute", "6.5/minute", "600/week", "a"])
def test_a_limit_is_a_number_and_a_time(wrong: str) -> None:
    """Anything else is refused with the settings."""
    document: dict[str, Any] = {"requests_per_credential": wrong}
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(document), type=Server)


def test_the_counts_in_memory_are_bounded() -> None:
    """However many addresses ask: what ended goes first, then the oldest."""
    windows = Windows()
    for number in range(100_050):
        windows.take(f"key {number}", 1, 3600, 1)
    assert windows.take("key 0", 1, 3600, 1) == 0.0  # it was forgotten, and is counted anew
    assert windows.take("key 100049", 1, 3600, 1) > 3000
    windows = Windows()
    windows.take("ends", 1, 0, 1)
    for number in range(100_000):
        windows.take(f"key {number}", 1, 3600, 1)
    assert windows.take("key 0", 1, 3600, 1) > 3000  # only what had ended went


def test_what_is_held_for_each_is_bounded() -> None:
    """Permits that are forgotten are lost to their holder, not given twice."""
    rate = RateLimit("test", "1000/hour", 1, RateCounter(None))
    for number in range(100_010):
        rate.take(f"{number}")
    assert not rate.has("0", 1)
    assert rate.has("100009", 9)
