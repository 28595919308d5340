"""The route of the audit records."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import Model

__all__ = ["AuditQuery", "AuditRecords"]

_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z$"


class AuditQuery(Model):
    """Which records; all that is given must hold."""

    key: Annotated[str | None, Field(max_length=80, description="A key id or a version id.")] = None
    actor: Annotated[str | None, Field(max_length=80, description="A credential's id.")] = None
    event: Annotated[str | None, Field(max_length=80, description="Such as `decrypt`.")] = None
    since: Annotated[str | None, Field(pattern=_MOMENT, description="RFC 3339, in UTC.")] = None
    until: Annotated[str | None, Field(pattern=_MOMENT, description="RFC 3339, in UTC.")] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class AuditRecords(Model):
    """The records of this machine, newest first."""

    records: list[dict[str, Any]]
