"""Processes that use the store now: whether their memory is theirs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.doctor.findings import Finding, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.doctor.posture.surroundings import Surroundings

_HARDEN: Final = (
    "the service sees to that by itself, a program of yours calls"
    " mycelium_fractal_net.harden_process()"
)


def process_findings(around: Surroundings) -> Iterator[Finding]:
    """Of each process on this machine that writes audit records of this store."""
    for process in around.processes:
        subject = f"process {process.pid}"
        if process.core_limit != "0":
            yield warning(
                "core-dumps",
                subject,
                f"writes its memory, keys included, to a file when it crashes (RLIMIT_CORE is"
                f" {process.core_limit}): {_HARDEN}",
            )
        if process.is_private is False:
            yield warning(
                "traceable",
                subject,
                f"every process of its user may read its memory, keys included: {_HARDEN}",
            )
        if process.user_id == 0:
            yield warning(
                "root-process",
                subject,
                "runs as root, and needs no right of root's: run it as a user of its own"
                " (docs/posture.md)",
            )
