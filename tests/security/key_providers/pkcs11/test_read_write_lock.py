"""A lock that many hold to use something, and one alone to change it."""

from __future__ import annotations

import threading

import pytest

from mycelium_fractal_net.security.errors import CustodianUnavailableError
from mycelium_fractal_net.security.key_providers.pkcs11.read_write_lock import ReadWriteLock


def test_many_use_it_at_once() -> None:
    """And it says how many."""
    lock = ReadWriteLock()
    with lock.read(1), lock.read(1):
        assert lock.using == 2
    assert lock.using == 0


def test_who_changes_it_has_it_alone() -> None:
    """Nobody else uses it, or changes it, and nobody waits for ever."""
    lock = ReadWriteLock()
    with lock.write(1):
        with (
            pytest.raises(CustodianUnavailableError, match="is being initialised"),
            lock.read(0.01),
        ):
            pass
        with pytest.raises(CustodianUnavailableError), lock.write(0.01):
            pass
    with lock.read(1), pytest.raises(CustodianUnavailableError, match="1 calls"), lock.write(0.01):
        pass
    with lock.write(1):
        pass


def test_who_waits_to_change_it_goes_before_who_comes_to_use_it() -> None:
    """However many come: he would wait for ever."""
    lock, order = ReadWriteLock(), []

    def change() -> None:
        with lock.write(10):
            order.append("changed")

    def use() -> None:
        with lock.read(10):
            order.append("used")

    with lock.read(1):
        threads = [threading.Thread(target=change)]
        threads[0].start()
        while not lock._waiting:
            pass
        threads.append(threading.Thread(target=use))
        threads[1].start()
    for thread in threads:
        thread.join()
    assert order == ["changed", "used"]
