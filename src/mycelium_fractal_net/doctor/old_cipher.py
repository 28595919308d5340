"""The way out of the XOR cipher: whether it is still met, and where old messages are still kept."""

from __future__ import annotations

from collections.abc import Iterator

from mycelium_fractal_net.doctor.findings import Examined, Finding, Severity
from mycelium_fractal_net.legacy.leaving import steps_left


def old_cipher_findings(store: Examined) -> Iterator[Finding]:
    """What is left to do until the old cipher is history."""
    for step in steps_left(store.settings, store.provider, store.usage):
        severity = Severity.WARNING if step.urgent else Severity.NOTICE
        yield Finding(severity, step.check, step.subject, step.advice)
