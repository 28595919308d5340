"""What keeps the keys in a process's memory from being written to a disk, or read by a neighbour.

Linux writes the memory of a process that crashes into a core file, and lets every process of the
same user read it (ptrace(2), /proc/PID/mem). The limit RLIMIT_CORE alone does not end the first:
where /proc/sys/kernel/core_pattern names a program, the kernel starts it whatever the limit is
(core(5)). A process that is not *dumpable* (prctl(2), PR_SET_DUMPABLE) gives a core to nobody, and
its memory to root alone.
"""

from __future__ import annotations

import ctypes
import resource
from typing import Any, Final

from mycelium_fractal_net.security.errors import ConfigurationError

_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


def harden_process(libc: Any = None) -> None:
    """Have this process leave no core dump, and no process of its user read its memory.

    For good: the limit cannot be raised again but by root. Processes that are forked from it are
    so too; one that is started by exec has the limit, and calls this itself. A profiler or
    debugger then attaches as root alone. In FIPS mode call
    :func:`mycelium_fractal_net.fips.start` first, which reads what the kernel then shows to root
    alone. ``libc`` is the C library. Raises :class:`ConfigurationError` where the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library = ctypes.CDLL(None) if libc is None else libc
    prctl = getattr(library, "prctl", None)  # Linux has it
    if prctl is not None and prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise ConfigurationError(
            "the kernel, or a sandbox around this process, refuses prctl(PR_SET_DUMPABLE, 0),"
            " without which others of this user read its keys"
        )
