"""`/crypto/datakey/report`: what was done with data keys where the service does not see it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mycelium_fractal_net.api.call import Authenticated
from mycelium_fractal_net.api.routes.registry import Routes
from mycelium_fractal_net.api.schemas import DataKeyReport, DataKeyReportAnswer
from mycelium_fractal_net.security.errors import KeyNotFoundError
from mycelium_fractal_net.security.keys import parse_key_id

__all__ = ["routes"]

routes = Routes("crypto")


@routes.add(
    "POST", "/crypto/datakey/report", "datakey.report", DataKeyReportAnswer, in_thread=True,
    problems=("not-found",),
)  # fmt: skip
def report_datakeys(call: Authenticated, body: DataKeyReport) -> dict[str, Any]:
    """Record what was done elsewhere with data keys. Scope: `datakey:KEY` of each.

    The counts are the word of who reports them, and the record says whose.
    """
    call.reference = body.reference
    counts: dict[str, Counter[str]] = {}
    for use in body.uses:
        name, number = parse_key_id(use.key_id)
        call.key = use.key_id
        call.permit("datakey", name)
        if number is None:
            raise KeyNotFoundError("a report names versions")
        call.keyring.provider.key(name).version(number)
        counts.setdefault(use.key_id, Counter()).update(
            encrypted=use.encrypted, decrypted=use.decrypted, failed=use.failed, bytes=use.bytes
        )
    call.key = None
    call.items = {key_id: dict(+count) for key_id, count in counts.items()}
    totals: Counter[str] = sum(counts.values(), Counter())
    del totals["bytes"]
    for outcome, total in totals.items():
        call.service.metrics.count_items(call.event, outcome, total)
    answer: dict[str, Any] = {"operations": totals.total()}
    if body.reference is not None:
        answer["reference"] = body.reference
    return answer
