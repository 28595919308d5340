"""Audit records: whether they leave this machine, and whether uses of keys are in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.doctor.findings import Finding, notice, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.config import Settings


def audit_posture(settings: Settings) -> Iterator[Finding]:
    """What a reviewer misses in the records that there are."""
    if settings.audit.export == "none":
        yield warning(
            "audit-export",
            "audit.export",
            "is none: who takes this machine over has all records of it; set it to stdout or"
            " syslog and collect them elsewhere, and keep the heads of the chains there"
            " (docs/audit.md)",
        )
    if not settings.audit.uses:
        yield notice(
            "audit-uses",
            "audit.uses",
            "is false: what was encrypted, decrypted and signed through the library is in no"
            " record; set it to true, or keep a record of your own",
        )
