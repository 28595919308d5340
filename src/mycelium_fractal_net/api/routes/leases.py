"""`/crypto/datakey/report`: what was done with data keys where the service does not see it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.api.endpoints.context import Authenticated
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.schemas.leases import DataKeyReport, DataKeyReportAnswer
from mycelium_fractal_net.security.errors import KeyNotFoundError
from mycelium_fractal_net.security.key_store.rows import day_of
from mycelium_fractal_net.security.key_store.usage import OPEN, PROTECT
from mycelium_fractal_net.security.records.keys import parse_key_id

if TYPE_CHECKING:
    from collections.abc import Mapping

routes = Routes("crypto")

_MOST_COUNTED: Final = 2**32  # of one report, so that sums stay within the store's 64 bits


@routes.add(
    "POST", "/crypto/datakey/report", "datakey.report", DataKeyReportAnswer, in_thread=True,
    problems=("not-found",),
)  # fmt: skip
def report_datakeys(context: Authenticated, body: DataKeyReport) -> dict[str, Any]:
    """Record what was done elsewhere with data keys. Scope: `datakey:KEY` of each.

    The counts are the word of who reports them, and the record says whose. That there were uses
    is kept with the versions, too: they are not destroyed as unused.
    """
    counts: dict[str, Counter[str]] = {}
    handles: dict[str, bytes] = {}
    for use in body.uses:
        name, number = parse_key_id(use.key_id)
        context.key = use.key_id
        context.permit("datakey", name)
        if number is None:
            raise KeyNotFoundError("a report names versions")
        handles[use.key_id] = context.provider.keys.get(name).version(number).handle
        counts.setdefault(use.key_id, Counter()).update(
            encrypted=use.encrypted, decrypted=use.decrypted, failed=use.failed, bytes=use.bytes
        )
    _count_uses(context, handles, counts)
    context.key = None
    context.items = {key_id: dict(+count) for key_id, count in counts.items()}
    totals: Counter[str] = sum(counts.values(), Counter())
    del totals["bytes"]
    for outcome, total in totals.items():
        context.service.metrics.count("items", context.event, outcome, count=total)
    return {"operations": totals.total()}


def _count_uses(
    context: Authenticated, handles: Mapping[str, bytes], counts: Mapping[str, Counter[str]]
) -> None:
    """Count what was done elsewhere as uses of today, durably."""
    keyring = context.keyring
    today = day_of(keyring.provider.clock())
    uses = {
        (handles[key_id], today, kind): min(number, _MOST_COUNTED)
        for key_id, count in counts.items()
        for kind, number in (
            (PROTECT, count["encrypted"]),
            (OPEN, count["decrypted"] + count["failed"]),
        )
        if number
    }
    keyring.usage.add(uses)
