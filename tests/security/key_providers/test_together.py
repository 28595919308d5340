"""Calls that go to the other side together: who goes at once, who waits, and for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import CustodianDeniedError, CustodianUnavailableError
from mycelium_fractal_net.security.key_providers import together as together_module
from mycelium_fractal_net.security.key_providers.together import MOST, Together

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = 5.0


class OtherSide:
    """Answers a request with its items, doubled, once the test lets it; ``seen`` has what came."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.answers = threading.Semaphore(0)
        self.error: Exception | None = None
        self.together: Together[int, int] = Together(self.ask)

    def ask(self, _name: Hashable, items: list[int], end: float) -> list[int]:
        self.seen.append(items)
        assert self.answers.acquire(timeout=_SECONDS)
        assert end > time.monotonic() - _SECONDS
        if self.error is not None:
            raise self.error
        return [2 * each for each in items]

    def call(self, item: int, *, name: str = "k", seconds: float = _SECONDS) -> int:
        return self.together.call(name, item, time.monotonic() + seconds)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def other() -> OtherSide:
    """One that answers nothing yet."""
    return OtherSide()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Of callers."""
    with ThreadPoolExecutor(MOST + 3) as pool:
        yield pool


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits does so to the end."""
    monkeypatch.setattr(together_module, "PATIENCE_SECONDS", 60.0)


def begun(
    other: OtherSide, threads: ThreadPoolExecutor, waiting: int
) -> tuple[Future[int], list[Future[int]]]:
    """A call that went at once, and others that wait for it."""
    gone = threads.submit(other.call, 1)
    until(lambda: len(other.seen) == 1)
    later = [threads.submit(other.call, 100 + number) for number in range(waiting)]
    kind = other.together._kinds["k"]
    until(lambda: len(kind.waiting) == waiting)
    return gone, later


@pytest.mark.usefixtures("patient")
def test_what_waits_goes_as_one_request(other: OtherSide, threads: ThreadPoolExecutor) -> None:
    """Each gets what is its own; who comes while none is under way goes alone and at once."""
    gone, later = begun(other, threads, 5)
    assert other.seen == [[1]]
    other.answers.release(2)
    assert gone.result(_SECONDS) == 2
    assert [each.result(_SECONDS) for each in later] == [200, 202, 204, 206, 208]
    assert [sorted(each) for each in other.seen[1:]] == [[100, 101, 102, 103, 104]]
    until(lambda: not other.together._kinds)
    other.answers.release()
    assert other.call(7) == 14


@pytest.mark.usefixtures("patient")
def test_a_request_has_a_bound_and_the_rest_follows(
    other: OtherSide, threads: ThreadPoolExecutor
) -> None:
    """One more waits than a request takes."""
    _, later = begun(other, threads, MOST + 1)
    other.answers.release(3)
    assert sorted(each.result(_SECONDS) for each in later) == [
        2 * (100 + number) for number in range(MOST + 1)
    ]
    assert sorted(len(each) for each in other.seen[1:]) == [1, MOST]


@pytest.mark.usefixtures("patient")
def test_calls_of_another_kind_do_not_wait(other: OtherSide, threads: ThreadPoolExecutor) -> None:
    """A key keeps no other one waiting."""
    begun(other, threads, 1)
    further = threads.submit(other.call, 5, name="another")
    until(lambda: other.seen[-1] == [5])
    other.answers.release(3)
    assert further.result(_SECONDS) == 10


@pytest.mark.usefixtures("patient")
def test_an_error_is_everybodys_who_went_together(
    other: OtherSide, threads: ThreadPoolExecutor
) -> None:
    """And nobody waits after it."""
    gone, later = begun(other, threads, 3)
    other.error = CustodianDeniedError("the key is disabled")
    other.answers.release(2)
    for each in (gone, *later):
        with pytest.raises(CustodianDeniedError, match="is disabled"):
            each.result(_SECONDS)
    until(lambda: not other.together._kinds)


def test_a_request_that_does_not_end_is_not_waited_for(
    other: OtherSide, threads: ThreadPoolExecutor
) -> None:
    """What waits is asked for beside it soon; that it ends at last changes nothing."""
    gone, later = begun(other, threads, 0)
    later = [threads.submit(other.call, 100 + number) for number in range(3)]
    until(lambda: sum(map(len, other.seen)) == 4)
    assert not gone.done()
    other.answers.release(4)
    assert sorted(each.result(_SECONDS) for each in later) == [200, 202, 204]
    assert gone.result(_SECONDS) == 2
    until(lambda: not other.together._kinds)


@pytest.mark.usefixtures("patient")
def test_who_waits_is_told_at_the_end_of_its_own_time(
    other: OtherSide, threads: ThreadPoolExecutor
) -> None:
    """It goes with no request any more, and what is under way keeps nobody else."""
    gone, _ = begun(other, threads, 0)
    began = time.monotonic()
    with pytest.raises(CustodianUnavailableError, match="does not answer in time"):
        other.call(7, seconds=0.05)
    assert time.monotonic() - began < 1
    with pytest.raises(CustodianUnavailableError, match="does not answer in time"):
        other.call(7, seconds=-1)
    other.answers.release()
    assert gone.result(_SECONDS) == 2
    assert [7] not in other.seen
