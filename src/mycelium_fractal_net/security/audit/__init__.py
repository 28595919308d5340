"""The audit log: every use of a key, every change, every refusal, before its answer leaves.

Records stand in a chain that is keyed: whoever edits, removes, moves or cuts one is found out by
:func:`verify`. One process writes a chain at a time; docs/audit.md has the whole.
"""

from __future__ import annotations

from mycelium_fractal_net.security.audit.events import (
    Event,
    acting_as,
    current_actor,
    current_request,
    serve_request,
)
from mycelium_fractal_net.security.audit.log import AuditLog
from mycelium_fractal_net.security.audit.search import Budget, Page, Wanted, query, search
from mycelium_fractal_net.security.audit.verification import AuditReport, Head, verify
from mycelium_fractal_net.security.audit.writer import Statistics

__all__ = [
    "AuditLog",
    "AuditReport",
    "Budget",
    "Event",
    "Head",
    "Page",
    "Statistics",
    "Wanted",
    "acting_as",
    "current_actor",
    "current_request",
    "query",
    "search",
    "serve_request",
    "verify",
]
