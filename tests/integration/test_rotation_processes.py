"""Sixteen schedulers in sixteen processes on one store: each due time is one rotation.

``MFN_TEST_ROTATIONS`` says how many due times there are; docs/reliability.md has the figures of a
thousand.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import struct
import time
import warnings
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.security.key_store.rows import from_micros, micros
from mycelium_fractal_net.security.key_store.scheduler_table import SchedulerTable
from mycelium_fractal_net.security.rotation import KeyRotationScheduler
from tests.support.stores import open_provider

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider

pytestmark = pytest.mark.long

DUE_TIMES = int(os.environ.get("MFN_TEST_ROTATIONS", "60"))
SCHEDULERS = 16
KEYS = 10
INTERVAL = timedelta(days=1)
ROUND_SECONDS = 120.0  # for sixteen processes on a slow machine


class SharedClock:
    """A clock that one process moves and all see, since it is in memory that they share."""

    def __init__(self, now: datetime) -> None:
        self._memory = mmap.mmap(-1, 16)
        self.set(now)

    def set(self, now: datetime) -> None:
        """Move it."""
        self._memory[:8] = struct.pack("<q", micros(now))

    def __call__(self) -> datetime:
        return from_micros(struct.unpack("<q", self._memory[:8])[0])

    def stop(self) -> None:
        """Tell all processes to end."""
        self._memory[8] = 1

    @property
    def is_stopped(self) -> bool:
        """Whether they have been told."""
        return self._memory[8] == 1


def _schedule(provider: LocalKeyProvider, clock: SharedClock, pipe: int) -> None:
    """Look again and again; at the end say what was rotated and what failed."""
    scheduler = KeyRotationScheduler(provider, clock=clock)
    rotated: list[str] = []
    failed: list[str] = []
    while not clock.is_stopped:
        report = scheduler.run_once()
        rotated += report.rotated
        failed += (reason for _, reason in report.failed)
        if not report.rotated:
            time.sleep(0.02)
    os.write(pipe, json.dumps([rotated, failed]).encode())


def _forked(provider: LocalKeyProvider, clock: SharedClock) -> tuple[int, int]:
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            _schedule(provider, clock, writing)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    return pid, reading


def _all(reading: int) -> bytes:
    with os.fdopen(reading, "rb") as file:
        return file.read()


def _wait_for(provider: LocalKeyProvider, version: int) -> None:
    deadline = time.monotonic() + ROUND_SECONDS
    table = SchedulerTable(provider.store.database)
    while any(key.latest.version < version for key in provider.keys.all()):
        assert table.failures() == {}  # its pause would not end: the clock stands still
        assert time.monotonic() < deadline, "a due time was lost"
        time.sleep(0.02)


def test_each_due_time_is_one_rotation_however_many_schedulers_there_are(
    store_url: str, home: Path
) -> None:
    """Time moves on while they are at work; nobody's count is one too many or too few."""
    clock = SharedClock(datetime.fromisoformat("2026-03-01T12:00:00Z"))
    provider = open_provider(store_url, home, clock)  # type: ignore[arg-type]
    rounds = max(1, DUE_TIMES // KEYS)
    with closing(provider.store.database):
        for number in range(KEYS):
            provider.keys.create(f"key-{number}")
            KeyRotationScheduler(provider).schedule_rotation(f"key-{number}", INTERVAL.days)
        provider.store.database.close()
        children = [_forked(provider, clock) for _ in range(SCHEDULERS)]
        try:
            for done in range(1, rounds + 1):
                clock.set(clock() + INTERVAL)
                _wait_for(provider, done + 1)
            time.sleep(0.2)  # for whoever would rotate once too often
            clock.stop()
            said = [json.loads(_all(reading)) for _, reading in children]
        except BaseException:
            for pid, _ in children:
                os.kill(pid, signal.SIGKILL)
            raise
        finally:
            codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid, _ in children]
        assert codes == [0] * SCHEDULERS
        rotated = Counter(each for found, _ in said for each in found)
        assert [failed for _, failures in said for failed in failures] == []
        expected = {f"key-{n}:v{v}" for n in range(KEYS) for v in range(2, rounds + 2)}
        assert rotated == Counter(expected)
        assert [key.latest.version for key in provider.keys.all()] == [rounds + 1] * KEYS


def test_four_processes_that_rotate_one_key_all_get_a_version(store_url: str, home: Path) -> None:
    """Whoever loses a race waits for a random moment and goes on: nobody gives up."""
    with initialise(home=home, store=store_url) as keyring:
        keyring.provider.keys.create("orders")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            failed = 1
            try:
                with open_keyring(home=home, store=store_url) as keyring:
                    for _ in range(25):
                        keyring.provider.rotate_key("orders")
                failed = 0
            finally:
                os._exit(failed)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    with open_keyring(home=home, store=store_url) as keyring:
        assert keyring.provider.keys.get("orders").latest.version == 101
