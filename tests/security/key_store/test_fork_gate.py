"""A fork comes between the transactions of other threads, so that the child can have its own."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.key_store import fork_gate
from mycelium_fractal_net.security.key_store.fork_gate import ForkGate

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider


@pytest.fixture
def gate() -> ForkGate:
    """A gate of the test's own."""
    return ForkGate()


def held(gate: ForkGate) -> tuple[threading.Thread, threading.Event]:
    """A thread in the middle of a transaction, which ends when the event is set."""
    begun, end = threading.Event(), threading.Event()

    def work() -> None:
        with gate.transaction():
            begun.set()
            end.wait(10.0)
            with gate.transaction():  # one within it never waits for a fork
                pass

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(10.0)
    return thread, end


def test_a_fork_waits_for_a_transaction_of_another_thread(gate: ForkGate) -> None:
    """And for no other: one that comes meanwhile waits for the fork."""
    thread, end = held(gate)
    closed, late = threading.Event(), threading.Event()

    def fork() -> None:
        gate.close()
        closed.set()

    def come_late() -> None:
        with gate.transaction():
            late.set()

    forking = threading.Thread(target=fork)
    forking.start()
    assert not closed.wait(0.05)
    end.set()
    assert closed.wait(10.0)
    latecomer = threading.Thread(target=come_late)
    latecomer.start()
    assert not late.wait(0.05)
    gate.open()
    assert late.wait(10.0)
    for each in (thread, forking, latecomer):
        each.join()


def test_a_thread_that_forks_within_a_transaction_does_not_wait_for_itself(gate: ForkGate) -> None:
    """The transaction is its own, in the child as well."""
    with gate.transaction():
        gate.close()
        gate._start_anew()
    gate.close()
    gate.open()


def test_a_fork_does_not_wait_for_ever(gate: ForkGate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that does not end must not keep a program from forking."""
    monkeypatch.setattr(fork_gate, "_WAIT_SECONDS", 0.01)
    thread, end = held(gate)
    gate.close()
    gate.open()
    end.set()
    thread.join()


def test_a_child_forked_beside_a_transaction_can_have_one(
    local_provider: LocalKeyProvider,
) -> None:
    """Without the gate SQLite in the child would hold what the other thread of its parent had."""
    provider = local_provider
    provider.keys.create("orders")
    ending = threading.Event()

    def work() -> None:
        while not ending.is_set():
            provider.rotate_key("orders")

    thread = threading.Thread(target=work)
    thread.start()
    codes = []
    for number in range(6):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:  # pragma: no cover - another process
            signal.alarm(15)
            try:
                provider.keys.create(f"child-{number}")
                os._exit(0)
            finally:
                os._exit(1)
        codes.append(os.waitpid(child, 0)[1])
    ending.set()
    thread.join()
    assert codes == [0] * 6
    assert sum(key.key_id.startswith("child") for key in provider.keys.all()) == 6
