"""`/audit`: the records of this machine."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query

from mycelium_fractal_net.api.endpoints.context import Authenticated
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.schemas.audit import AuditQuery, AuditRecords
from mycelium_fractal_net.security.audit import query as read_records

routes = Routes("audit")


@routes.add(
    "GET", "/audit", "audit.read", AuditRecords, scope="audit:read", in_thread=True,
)  # fmt: skip
def audit_records(context: Authenticated, query: Annotated[AuditQuery, Query()]) -> dict[str, Any]:
    """The records of this machine that fit, newest first. Scope: `audit:read`."""
    found = read_records(
        context.service.settings.audit_folder,
        key=query.key,
        actor=query.actor,
        event=query.event,
        since=query.since,
        until=query.until,
        limit=query.limit,
    )
    return {"records": found}
