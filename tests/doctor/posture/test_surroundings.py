"""What the kernel says of this machine and of the processes that use the store."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.doctor.posture.machine import machine_findings
from mycelium_fractal_net.doctor.posture.processes import process_findings
from mycelium_fractal_net.doctor.posture.surroundings import Process, Surroundings, look_around
from mycelium_fractal_net.doctor.rules import Severity
from tests.security.test_hardening import as_a_user, child, hardened_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.doctor import Finding

PRIVATE = Process(7, 1000, "0", is_private=True, may_swap=True)


def around(
    *processes: Process, swaps: tuple[str, ...] = (), ptrace_scope: int | None = 1
) -> Surroundings:
    return Surroundings(swaps, ptrace_scope, processes)


def checks(surroundings: Surroundings) -> list[str]:
    found: list[Finding] = [*process_findings(surroundings), *machine_findings(surroundings)]
    assert all(each.requirements for each in found)
    return [each.check for each in found]


# Findings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("process", "expected"),
    [
        (PRIVATE, []),
        (Process(7, 1000, "unlimited", is_private=True, may_swap=True), ["core-dumps"]),
        (Process(7, 1000, "0", is_private=False, may_swap=True), ["traceable"]),
        (Process(7, 0, "0", is_private=None, may_swap=True), ["root-process"]),
    ],
)
def test_what_is_wrong_with_a_process(process: Process, expected: list[str]) -> None:
    """Each by itself, and of one that is as it should be nothing."""
    assert checks(around(process)) == expected


@pytest.mark.parametrize(("scope", "expected"), [(None, 1), (0, 1), (1, 0), (3, 0)])
def test_ptrace_that_is_open_is_noticed(scope: int | None, expected: int) -> None:
    """On a kernel without Yama too."""
    found = list(machine_findings(around(ptrace_scope=scope)))
    assert [each.severity for each in found] == [Severity.NOTICE] * expected


def test_swap_is_found_unless_no_process_may_use_it() -> None:
    """One that may is enough; where none runs, one may come."""
    kept_off = Process(8, 1000, "0", is_private=True, may_swap=False)
    place = ("/dev/sda2",)
    assert checks(around(swaps=place)) == ["swap"]
    assert checks(around(PRIVATE, kept_off, swaps=place)) == ["swap"]
    assert checks(around(kept_off, swaps=place)) == []
    assert checks(around(PRIVATE)) == []


# Reading -------------------------------------------------------------------------------------


def files(folder: Path, **contents: str) -> Path:
    """A tree as the kernel has it: a path with ``__`` for ``/``, and what is in it."""
    for name, content in contents.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def test_swap_on_memory_and_on_an_encrypted_device_is_none(tmp_path: Path) -> None:
    """What is on a disk, and in a file, is."""
    head = "Filename\tType\tSize\tUsed\tPriority\n"
    lines = "/dev/sda2 partition 1 0 -2\n/swapfile file 1 0 -3\n/dev/zram0 partition 1 0 5\n"
    proc = files(tmp_path / "proc", swaps=f"{head}{lines}/dev/dm-1 partition 1 0 -4\n")
    sys = files(tmp_path / "sys", **{"block__dm-1__dm__uuid": "CRYPT-PLAIN-swap\n"})
    assert look_around(tmp_path, proc, sys).swaps == ("/dev/sda2", "/swapfile")
    files(tmp_path / "sys", **{"block__dm-1__dm__uuid": "LVM-x\n"})
    assert look_around(tmp_path, proc, sys).swaps == ("/dev/sda2", "/swapfile", "/dev/dm-1")


def test_a_kernel_that_says_nothing_has_no_findings_of_it(tmp_path: Path) -> None:
    """But for that it has no Yama."""
    assert look_around(tmp_path, tmp_path, tmp_path) == Surroundings((), None, ())
    proc = files(tmp_path / "proc", sys__kernel__yama__ptrace_scope="2\n")
    assert look_around(tmp_path, proc, tmp_path).ptrace_scope == 2


def process_tree(tmp_path: Path, *, swap: str | None) -> tuple[Path, Path, Path]:
    """An audit folder whose chain process 4711 holds, with /proc and /sys that say so."""
    lock = tmp_path / "audit" / ("0" * 32) / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    found = lock.stat()
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    proc = files(
        tmp_path / "proc",
        locks=f"1: FLOCK  ADVISORY  WRITE 4711 {device} 0 EOF\n"
        f"2: FLOCK  ADVISORY  WRITE 4712 {device}9 0 EOF\n"
        f"3: POSIX  ADVISORY  WRITE 4713 {device} 0 EOF\n"
        f"4: FLOCK  ADVISORY  WRITE 4714 {device} 0 EOF\n"
        f"4: -> FLOCK  ADVISORY  WRITE 4715 {device} 0 EOF\n",
        **{
            "4711__status": "Name:\tmfn\nUid:\t1000\t1000\t1000\t1000\n",
            "4711__limits": "Limit Soft Hard Units\nMax core file size 0 0 bytes\n",
            "4711__cgroup": "1:cpu:/x\n0::/system.slice/mfn.service\n",
            "4711__mem": "",
        },
    )
    sys = tmp_path / "sys"
    if swap is not None:
        files(sys, **{"fs__cgroup__system.slice__mfn.service__memory.swap.max": swap})
    return tmp_path / "audit", proc, sys


@pytest.mark.parametrize(("swap", "may"), [("0\n", False), ("max\n", True), (None, True)])
def test_whoever_holds_a_chain_is_a_process_of_the_store(
    tmp_path: Path, swap: str | None, may: bool
) -> None:
    """Not who waits for it, or locks something else; one that has ended meanwhile is left out."""
    (process,) = look_around(*process_tree(tmp_path, swap=swap)).processes
    assert (process.pid, process.user_id, process.core_limit) == (4711, 1000, "0")
    assert process.is_private is (os.geteuid() == 0)  # whose the file is that stands for it
    assert process.may_swap is may


def test_a_file_that_has_another_device_than_its_mount_is_found_by_that(tmp_path: Path) -> None:
    """As on btrfs; of the mounts around it the innermost counts, and of two there the last."""
    audit, proc, sys = process_tree(tmp_path, swap=None)
    (lock,) = audit.glob("*/lock")
    (proc / "locks").write_text(
        f"1: FLOCK  ADVISORY  WRITE 4711 00:1f:{lock.stat().st_ino} 0 EOF\n"
    )
    assert look_around(audit, proc, sys).processes == ()
    inner = f"30 29 0:30 / {audit} rw - btrfs /dev/sda2 rw\n31 30 0:31 / {audit} rw - btrfs x rw\n"
    outer = "29 1 0:29 / / rw - ext4 /dev/sda1 rw\n32 29 0:32 / /nowhere rw - ext4 x rw\n"
    files(proc, self__mountinfo=inner + outer)
    (process,) = look_around(audit, proc, sys).processes
    assert process.pid == 4711


def test_a_process_without_a_control_group_may_swap(tmp_path: Path) -> None:
    """As on a system of version 1."""
    audit, proc, sys = process_tree(tmp_path, swap="0\n")
    (proc / "4711/cgroup").write_text("1:memory:/x\n")
    (process,) = look_around(audit, proc, sys).processes
    assert process.may_swap


@pytest.mark.parametrize(
    ("become", "private"), [(as_a_user, False), (hardened_user, True)], ids=["plain", "hardened"]
)
def test_a_real_process_is_seen_by_its_lock(
    tmp_path: Path, become: Callable[[], None], private: bool
) -> None:
    """Whether others read its memory, from outside of it."""
    lock = tmp_path / "audit" / "chain" / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()

    def work() -> None:
        descriptor = os.open(lock, os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.set_inheritable(descriptor, True)
        become()

    with child(work) as (pid, _):
        found = look_around(tmp_path / "audit").processes
    (process,) = found
    assert process.pid == pid
    assert process.is_private is private
    if private:
        assert process.core_limit == "0"
