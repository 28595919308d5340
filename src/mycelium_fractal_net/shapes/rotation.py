"""What a scheduler sees and does, as the command line shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.records.keys import version_id
from mycelium_fractal_net.shapes.json_values import time_text

if TYPE_CHECKING:
    from mycelium_fractal_net.security.lifecycle.due import ScheduledKey
    from mycelium_fractal_net.security.lifecycle.look import RunReport


def schedule_shape(name: str, seen: ScheduledKey | MfnError) -> dict[str, Any]:
    """When a key is due, and whether its rotation fails; ``error`` is of a record refused."""
    if isinstance(seen, MfnError):
        return {"key_id": name, "error": str(seen)}
    key, failure = seen.key, seen.failure
    return {
        "key_id": name,
        "type": key.key_type.value,
        "automatic": key.rotation.automatic,
        "interval_days": key.rotation.interval_days,
        "newest": version_id(name, key.latest.version),
        "state": key.latest.state.value,
        "activate_at": time_text(key.latest.activate_at),
        "protects": seen.protects,
        "due_at": time_text(seen.due_at),
        "due": None if seen.reason is None else seen.reason.value,
        "failure": None
        if failure is None
        else {
            "failures": failure.failures,
            "since": time_text(failure.since),
            "retry_at": time_text(failure.retry_at),
            "reason": failure.reason,
        },
    }


def look_shape(report: RunReport) -> dict[str, Any]:
    """What one look of a scheduler did."""
    return {
        "looked_at": time_text(report.looked_at),
        "ok": report.ok,
        "rotated": report.rotated,
        "activated": report.activated,
        "set_back": report.set_back,
        "failed": [{"key_id": name, "reason": reason} for name, reason in report.failed],
        "waiting": report.waiting,
        "proposed": report.proposed,
        "pending": report.pending,
        "erased": report.erased,
        "credentials_due": report.credentials_due,
        "held_until": time_text(report.held_until),
    }
