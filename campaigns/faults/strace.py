"""``mfn`` in a child that ``strace`` looks on, and one of whose system calls it can refuse.

The child is forked from a process that has loaded everything, and waits until strace is there: so
what is seen is the command at work, and one run takes a fifth of what a fresh start would.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Final

import mycelium_fractal_net
from mycelium_fractal_net.cli import main
from tests.torture.place import Place

SECONDS: Final = 60  # what takes longer hangs
_CALL: Final = re.compile(r"(\d+) +(\w+)\((.*)")
_NEVER: Final = frozenset(["close", "exit", "exit_group", "munmap"])  # no program can act on theirs
_IN_WORK: Final = ("-wal", "-shm", "-journal", ".lock")  # beside a file of SQLite, now and then

_INJECTED: Final = "(INJECTED)"
_SENDING: Final = ("sendto", "sendmsg")
WRITING: Final = frozenset(
    ["fallocate", "fdatasync", "fsync", "ftruncate", "link", "linkat", "mkdir", "open", "openat",
     "pwrite64", "rename", "renameat", "renameat2", "write"]
)  # fmt: skip
# Those whose manual page names EINTR.
_INTERRUPTED: Final = frozenset(
    ["fallocate", "fcntl", "fdatasync", "flock", "fsync", "ftruncate", "open", "openat", "pread64",
     "pwrite64", "read", "write"]
)  # fmt: skip
_ON_SOCKETS: Final = {
    "connect": ("ECONNREFUSED", "ETIMEDOUT", "EINTR"),
    "sendto": ("ECONNRESET", "EPIPE", "EINTR"),
    "sendmsg": ("ECONNRESET", "EPIPE", "EINTR"),
    "recvfrom": ("ECONNRESET", "EINTR"),
    "recvmsg": ("ECONNRESET", "EINTR"),
    "poll": ("ENOMEM", "EINTR"),
    "ppoll": ("ENOMEM", "EINTR"),
    "epoll_wait": ("EINTR",),
    "epoll_ctl": ("ENOMEM",),
    "epoll_create1": ("EMFILE",),
    "socket": ("EMFILE",),
    "setsockopt": ("ENOBUFS",),
    "getsockopt": ("ENOBUFS",),
    "getsockname": ("ENOBUFS",),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """The n-th time that a thread makes this call it fails; on this file, or without one on any.

    ``path`` is below the folder of the place.
    """

    call: str
    path: str
    number: int
    error: str

    def __str__(self) -> str:
        of = f" of {self.path}" if self.path else ""
        return f"{self.error} at {self.call} {self.number}{of}"


@dataclass(frozen=True, slots=True)
class Ended:
    """How the command ended; ``injected`` says whether it came to the call that was to fail."""

    code: int
    said: str
    trace: str

    @property
    def injected(self) -> bool:
        return _INJECTED in self.trace


def preload() -> None:
    """Import what any command may, so that no child has to."""
    for module in walk_packages(mycelium_fractal_net.__path__, "mycelium_fractal_net."):
        with contextlib.suppress(Exception):  # of an extra that is not here
            import_module(module.name)
    for name in ("alembic.command", "alembic.ddl.sqlite", "alembic.ddl.postgresql", "psycopg"):
        import_module(name)


def plain(place: Place, arguments: Sequence[str]) -> Ended:
    """Run the command, and nobody looks."""
    with _child(place, arguments) as pid:
        _go(pid)
        return _ended(place, pid)


def faulty(place: Place, arguments: Sequence[str], fault: Fault) -> Ended:
    """Run the command with that fault.

    Where the sending of something fails the server ends its sessions, as it does when a connection
    is reset; else the driver would wait for ever for what a healthy server has to say.
    """
    ends = fault.call in _SENDING and fault.error != "EINTR"
    options = ["-e", f"trace={fault.call}"]
    options += ["-e", f"inject={fault.call}:error={fault.error}:when={fault.number}"]
    if fault.path:
        options += ["-P", str(place.folder / fault.path)]
    return _traced(place, arguments, options, when_injected=place.end_sessions if ends else None)


def calls(place: Place, arguments: Sequence[str]) -> list[Fault]:
    """Every call that the command makes on the files of the place, with each error it may meet."""
    paths = _paths(place)
    options = [part for path in paths for part in ("-P", str(path))]
    done = _traced(place, arguments, ["-y", *options])
    seen: Counter[tuple[str, str, Path]] = Counter()
    found: dict[Fault, None] = {}
    for thread, call, rest in _lines(done):
        if call in _NEVER or not (
            named := [path for path in paths if f"<{path}>" in rest or f'"{path}"' in rest]
        ):
            continue
        path = max(named, key=lambda each: len(str(each)))
        seen[thread, call, path] += 1
        errors = ["EIO"] + ["ENOSPC"] * (call in WRITING) + ["EINTR"] * (call in _INTERRUPTED)
        for error in errors:
            where = str(path.relative_to(place.folder))
            found[Fault(call, where, seen[thread, call, path], error)] = None
    return list(found)


def socket_calls(place: Place, arguments: Sequence[str]) -> list[Fault]:
    """Every call that the command makes on sockets, with each error that it may meet."""
    done = _traced(place, arguments, ["-e", f"trace={','.join(_ON_SOCKETS)}"])
    seen: Counter[tuple[str, str]] = Counter()
    found: dict[Fault, None] = {}
    for thread, call, _ in _lines(done):
        seen[thread, call] += 1
        for error in _ON_SOCKETS[call]:
            found[Fault(call, "", seen[thread, call], error)] = None
    return list(found)


def _paths(place: Place) -> list[Path]:
    kept = place.files, place.folder / "out"  # what no command of these works on
    there = {
        path
        for path in place.folder.rglob("*")
        if not any(path.is_relative_to(each) for each in kept)
    }
    stores = [place.home / "keys.db", place.folder / "rows.db"]
    there |= {path.with_name(path.name + end) for path in stores for end in _IN_WORK}
    return sorted(there)


def _lines(done: Ended) -> Iterator[tuple[str, str, str]]:
    if done.code:
        raise AssertionError(f"without a fault it ended with {done.code}: {done.said}")
    for line in done.trace.splitlines():
        if match := _CALL.match(line):
            yield match[1], match[2], match[3]


def _traced(
    place: Place,
    arguments: Sequence[str],
    options: Sequence[str],
    *,
    when_injected: Callable[[], None] | None = None,
) -> Ended:
    log = place.folder / "out" / "strace"
    with _child(place, arguments) as pid:
        tracer = subprocess.Popen(
            [_program(), "-f", "-p", str(pid), "-o", str(log), *options],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tracer.stderr is not None
        said = ""
        while "attached" not in said:
            if not (line := tracer.stderr.readline()):
                raise AssertionError(f"strace does not look on: {said}")
            said += line
        _go(pid)
        if when_injected is not None and _meets_its_fault(pid, log):
            when_injected()
        ended = _ended(place, pid)
        tracer.communicate()
    return Ended(ended.code, ended.said, log.read_text(errors="replace"))


def _program() -> str:
    if (found := shutil.which("strace")) is None:
        raise FileNotFoundError("strace is needed (Debian: strace)")
    return found


# The child ---------------------------------------------------------------------------------------

_GO: dict[int, int] = {}  # the pipe on which each child waits


@contextlib.contextmanager
def _child(place: Place, arguments: Sequence[str]) -> Iterator[int]:
    """A child that waits for its start, and is gone afterwards."""
    (place.folder / "out").mkdir(exist_ok=True)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)
        _become(place, arguments)
    os.close(reading)
    _GO[pid] = writing
    try:
        yield pid
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _become(place: Place, arguments: Sequence[str]) -> None:
    code = 1
    try:
        out = place.folder / "out"
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for name, number in (("stdout", 1), ("stderr", 2)):
            os.dup2(os.open(out / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        # Whoever forked it may have other ideas of where to print to, as pytest has.
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        for name in [name for name in os.environ if name.startswith("MFN_")]:
            del os.environ[name]
        os.chdir(place.folder)
        signal.alarm(SECONDS)
        code = main(["--home", str(place.home), "--store", place.url, *arguments])
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _go(pid: int) -> None:
    os.write(_GO[pid], b"!")
    os.close(_GO.pop(pid))


def _meets_its_fault(pid: int, log: Path) -> bool:
    """Wait until the child has met its fault; false where it ends without."""
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if _INJECTED in log.read_text(errors="replace"):
            return True
        time.sleep(0.005)
    return False


def _ended(place: Place, pid: int) -> Ended:
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    said = (place.folder / "out" / "stderr").read_text(errors="replace")
    if code == -signal.SIGALRM:
        said += f"it did not end within {SECONDS} s"
    return Ended(code, said, "")
