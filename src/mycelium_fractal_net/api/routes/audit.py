"""`/audit`: the records of this machine."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query

from mycelium_fractal_net.api.endpoints.context import Authenticated
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.schemas.audit import AuditQuery, AuditRecords
from mycelium_fractal_net.api.service.costs import SCAN_SECONDS
from mycelium_fractal_net.security.audit import Budget, Wanted, search

routes = Routes("audit")


@routes.add("GET", "/audit", "audit.read", AuditRecords, scope="audit:read", scans=True)
def audit_records(context: Authenticated, query: Annotated[AuditQuery, Query()]) -> dict[str, Any]:
    """The records of this machine that fit, newest first. Scope: `audit:read`.

    A search reads for a second at most. With a `cursor` there may be more, also where the page has
    fewer than `limit`, or none: ask the same again with it, until there is none.
    """
    found = search(
        context.service.settings.audit_folder,
        Wanted(query.key, query.actor, query.event, query.since, query.until),
        limit=query.limit,
        budget=Budget(seconds=SCAN_SECONDS, cancelled=lambda: context.is_abandoned),
        cursor=query.cursor,
    )
    return {"records": found.records} if found.cursor is None else found._asdict()
