"""The route of the audit records."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import Model, Timestamp, examples
from mycelium_fractal_net.shapes.members import KEY_ID_PATTERN

_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z$"


class AuditQuery(Model):
    """Which records; all that is given must hold."""

    key: Annotated[
        str | None,
        Field(
            pattern=KEY_ID_PATTERN,
            description="A key id, which stands for all its versions, or a version id.",
        ),
    ] = None
    actor: Annotated[
        str | None,
        Field(
            pattern="^[a-z0-9:]{1,80}$",
            description="A credential's id, `cli:UID`, `library`, `anonymous` or `system`.",
        ),
    ] = None
    event: Annotated[
        str | None,
        Field(
            pattern="^[a-z0-9.-]{1,80}$",
            description="Such as `decrypt`, with all below it: `key` finds `key.rotate`.",
        ),
    ] = None
    since: Annotated[
        str | None, Field(pattern=_MOMENT, description="RFC 3339, in UTC; inclusive.")
    ] = None
    until: Annotated[
        str | None, Field(pattern=_MOMENT, description="RFC 3339, in UTC; inclusive.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Annotated[
        str | None,
        Field(
            pattern="^[A-Za-z0-9_-]{1,60000}$",
            description="Of the page before: where the same search goes on.",
        ),
    ] = None


class AuditRecord(Model):
    """One thing that happened; what does not apply is absent. docs/audit.md has the events."""

    chain: Annotated[str, Field(description="The chain that holds it; one per writing process.")]
    sequence: Annotated[int, Field(ge=1, description="Its place in the chain.")]
    time: Timestamp
    event: Annotated[str, Field(description="What was done, such as `encrypt`, `key.rotate`.")]
    outcome: Annotated[
        str,
        Field(description="`ok`, `intent`, `begun`, or the name of the problem it ended in."),
    ]
    key: Annotated[str | None, Field(description="A key id or version id.")] = None
    actor: Annotated[
        str | None, Field(description="A credential's id, `cli:UID`, `library` and so on.")
    ] = None
    request: Annotated[str | None, Field(description="The `request_id` of the answer.")] = None
    reference: Annotated[str | None, Field(description="The caller's own text.")] = None
    items: Annotated[
        dict[str, dict[str, int]] | None,
        Field(description="Of a batch: how many items of each version had each outcome."),
    ] = None
    bytes: Annotated[int | None, Field(description="Of a stream: how many came in.")] = None
    subject: Annotated[
        str | None, Field(description="The credential or signer that was changed, or an import.")
    ] = None
    signer: Annotated[
        str | None, Field(description="Who signed the request, where it was signed.")
    ] = None
    reason: Annotated[str | None, Field(description="An operator's word.")] = None
    intent: Annotated[
        int | None, Field(description="The sequence of the intent that this is the outcome of.")
    ] = None
    mark: Annotated[
        str | None, Field(description="Of an intent: names the store's record once it is done.")
    ] = None
    former: Annotated[
        str | None, Field(description="Of an intent: names the store's record before.")
    ] = None
    count: int | None = None
    until: Annotated[
        str | None,
        Field(description="Of a finding that is acknowledged: when it is one again, RFC 3339."),
    ] = None


class AuditRecords(Model):
    """The records of this machine, newest first."""

    model_config = examples(
        {
            "records": [
                {
                    "chain": "40c1744a9318c1430e1eca5fae6fc1a3",
                    "sequence": 14,
                    "time": "2026-11-24T12:27:35.579796Z",
                    "event": "encrypt",
                    "outcome": "ok",
                    "key": "orders:v1",
                    "actor": "un23xcch6poedl7m",
                    "request": "52e5882300192367",
                    "reference": "row 17",
                }
            ]
        }
    )

    records: list[AuditRecord]
    cursor: Annotated[
        str | None, Field(description="Where the search goes on; absent where all was read.")
    ] = None
