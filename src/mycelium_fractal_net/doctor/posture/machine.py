"""The machine beneath: memory that goes to a disk, or that neighbours may read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.doctor.findings import Finding, notice, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.doctor.posture.surroundings import Surroundings


def machine_findings(around: Surroundings) -> Iterator[Finding]:
    """Swap without encryption, and ptrace that is open to processes of the same user.

    Swap is nothing where processes use the store now and the control group of each keeps it from
    them.
    """
    kept_off = around.processes and not any(each.may_swap for each in around.processes)
    for place in () if kept_off else around.swaps:
        yield warning(
            "swap",
            place,
            "memory, keys included, goes to a disk unencrypted: swapoff, swap on dm-crypt or zram,"
            " or MemorySwapMax=0 in the unit of the service",
        )
    if not around.ptrace_scope:
        now = "the kernel has no Yama" if around.ptrace_scope is None else "it is 0"
        yield notice(
            "ptrace-scope",
            "kernel.yama.ptrace_scope",
            f"{now}: a process reads the memory of others of its user, but for those that refuse"
            " it, as the service does; set it to 1 or more with sysctl",
        )
