"""Several requests at once: in order, few, and none after one that failed."""

from __future__ import annotations

import threading
import time

import pytest

from mycelium_fractal_net.security.key_providers.aws_kms.parallel import AT_ONCE, in_parallel


def test_the_answers_are_in_order_and_few_are_asked_at_once() -> None:
    """However they come back."""
    lock, at_once, most = threading.Lock(), 0, 0

    def ask(number: int) -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.001 * (number % 3))
        with lock:
            at_once -= 1
        return number * 2

    assert in_parallel(ask, range(100)) == [number * 2 for number in range(100)]
    assert 1 < most <= AT_ONCE


def test_none_is_begun_after_one_that_failed() -> None:
    """And its error is what the caller gets."""
    asked: list[int] = []

    def ask(number: int) -> int:
        asked.append(number)
        raise ZeroDivisionError(number)

    with pytest.raises(ZeroDivisionError):
        in_parallel(ask, range(1000))
    assert len(asked) <= AT_ONCE


def test_one_alone_is_asked_here_and_none_of_nothing() -> None:
    """Without a thread."""
    assert in_parallel(lambda _: threading.current_thread(), [0]) == [threading.current_thread()]
    assert in_parallel(lambda number: number, []) == []
