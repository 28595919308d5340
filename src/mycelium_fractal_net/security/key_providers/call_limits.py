"""How long, and how often, a custodian on another machine is asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Seconds, and counts.

    ``deadline_seconds`` is for all of a call: its ``attempts``, and the pauses between them, which
    are random up to ``first_pause_seconds`` and then up to twice as long each time. At most
    ``threads`` calls are under way, and ``signing_threads`` signatures beside them; at most
    ``stuck_threads`` wait for an answer that comes too late. After ``outages_in_a_row`` attempts
    without an answer nobody is asked for ``rest_seconds``.
    """

    deadline_seconds: float = 10.0
    attempts: int = 3
    first_pause_seconds: float = 0.1
    threads: int = 16
    signing_threads: int = 16
    stuck_threads: int = 64
    outages_in_a_row: int = 3
    rest_seconds: float = 5.0
