"""A process that was hardened leaves no core dump, and shows its memory to root alone."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import resource
import signal
import warnings
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import harden_process
from mycelium_fractal_net.security.errors import ConfigurationError
from tests.support.hardened import core_limit, is_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PR_SET_DUMPABLE = 4
_NOBODY = 65534


@contextlib.contextmanager
def child(work: Callable[[], object]) -> Iterator[tuple[int, str]]:
    """A process that does ``work`` and waits: its id, and what came of it. It ends by a crash."""
    done, ready = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is the point
        pid = os.fork()
    if pid == 0:
        try:
            faulthandler.disable()
            os.write(ready, str(work()).encode())
            signal.pause()
        finally:
            os._exit(1)
    os.close(ready)
    told = os.read(done, 100).decode()
    os.close(done)
    try:
        yield pid, told
    finally:
        os.kill(pid, signal.SIGABRT)
        status = os.waitpid(pid, 0)[1]
    assert (os.WTERMSIG(status), os.WCOREDUMP(status)) == (signal.SIGABRT, False)


def as_a_user() -> None:
    """Be somebody else than root, whose processes the kernel does not tell apart; be dumpable."""
    if os.geteuid() == 0:
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def hardened_user() -> None:
    as_a_user()
    harden_process()


def test_a_hardened_process_shows_its_memory_to_root_alone() -> None:
    """What the kernel gives to others of its user is root's, and it leaves no core."""
    with child(hardened_user) as (pid, _):
        assert is_private(pid)
        assert core_limit(pid) == ("0", "0")


def test_what_is_forked_from_it_is_hardened_too() -> None:
    """As the workers of the service are; and before it was, its memory was its user's."""

    def work() -> tuple[bool, bool, tuple[str, str]]:
        as_a_user()
        before = is_private(os.getpid())
        harden_process()
        with child(lambda: None) as (pid, _):
            return before, is_private(pid), core_limit(pid)

    with child(work) as (_, told):
        assert told == str((False, True, ("0", "0")))


class Refusing:
    """A C library on a kernel that refuses."""

    def prctl(self, *_: int) -> int:
        return -1


def test_a_kernel_that_refuses_is_told_of() -> None:
    """Nobody believes that memory is private which is not."""
    with pytest.raises(ConfigurationError, match="PR_SET_DUMPABLE"):
        harden_process(Refusing())
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def test_a_system_without_that_call_has_the_limit() -> None:
    """As those have that are not Linux."""
    harden_process(object())
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
