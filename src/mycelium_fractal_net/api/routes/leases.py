"""What clients do on their own machine: keys of fields for it, and what they report of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from pybase64 import b64encode_as_string as to_base64

from mycelium_fractal_net.api.endpoints.context import Authenticated, Context
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.parsing.base64_text import base64_bytes, optional_base64
from mycelium_fractal_net.api.routes.crypto import permitted_key
from mycelium_fractal_net.api.schemas.crypto import FieldRequest
from mycelium_fractal_net.api.schemas.leases import (
    DataKeyReport,
    DataKeyReportAnswer,
    DeterministicFieldKeys,
    DeterministicFieldRequest,
    IndexFieldKeys,
)
from mycelium_fractal_net.security.errors import KeyNotFoundError
from mycelium_fractal_net.security.key_store.rows import day_of
from mycelium_fractal_net.security.key_store.usage import OPEN, PROTECT
from mycelium_fractal_net.security.records.keys import KeyType, parse_key_id
from mycelium_fractal_net.security.sealed.layout import DETERMINISTIC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mycelium_fractal_net.security.keyring.lending import LentKeys

routes = Routes("crypto")

_MOST_COUNTED: Final = 2**32  # of one report, so that sums stay within the store's 64 bits
_PROBLEMS: Final = ("not-found", "key-state", "key-usage", "algorithm")
_OF_FIELDS: Final = frozenset({KeyType.INDEX, KeyType.DETERMINISTIC})


@routes.add(
    "POST", "/crypto/index/fieldkeys", "index.fieldkeys", IndexFieldKeys, problems=_PROBLEMS
)
def index_field_keys(context: Authenticated, body: FieldRequest) -> dict[str, Any]:
    """What makes the tags of one field elsewhere, for seconds. Scope: `fieldkey:KEY`.

    The key itself never leaves the service. Ask again when the time is over: then what was
    revoked is refused, and a new version is there.
    """
    lent = context.keyring.index_field_keys(
        key_id=permitted_key(context, "fieldkey", body.key_id, body.key_id),
        context=base64_bytes(body.context, "/context"),
        bits=body.bits,
        normalisation=body.normalisation,
    )
    keys = [{"key": to_base64(each.key), "key_id": each.version_id} for each in lent.keys]
    return _lent(context, lent, keys, "HMAC-SHA-256")


@routes.add(
    "POST", "/crypto/deterministic/fieldkeys", "deterministic.fieldkeys", DeterministicFieldKeys,
    problems=_PROBLEMS,
)  # fmt: skip
def deterministic_field_keys(
    context: Authenticated, body: DeterministicFieldRequest
) -> dict[str, Any]:
    """What seals and opens the messages of one associated data elsewhere, for seconds. Scope:
    `fieldkey:KEY`.

    As for the fields of an index.
    """
    lent = context.keyring.deterministic_field_keys(
        key_id=permitted_key(context, "fieldkey", body.key_id, body.key_id),
        associated_data=optional_base64(body.associated_data, "/associated_data"),
    )
    keys = [
        {
            "key": to_base64(each.key),
            "key_id": each.version_id,
            "header": to_base64(DETERMINISTIC + each.handle),
            "opens": each.opens,
        }
        for each in lent.keys
    ]
    return _lent(context, lent, keys, "AES-256-SIV")


def _lent(
    context: Context, lent: LentKeys, keys: list[dict[str, Any]], algorithm: str
) -> dict[str, Any]:
    answer: dict[str, Any] = {"keys": keys, "seconds": lent.seconds, "algorithm": algorithm}
    if lent.stored is not None:
        answer["key_id"] = context.key = lent.stored
    return answer


@routes.add(
    "POST", "/crypto/datakey/report", "datakey.report", DataKeyReportAnswer, in_thread=True,
    problems=("not-found",),
)  # fmt: skip
def report_datakeys(context: Authenticated, body: DataKeyReport) -> dict[str, Any]:
    """Record what was done elsewhere with data keys. Scope: `datakey:KEY` of each, and of keys of
    fields `fieldkey:KEY`.

    The counts are the word of who reports them, and the record says whose. That there were uses
    is kept with the versions, too: they are not destroyed as unused.
    """
    counts: dict[str, Counter[str]] = {}
    handles: dict[str, bytes] = {}
    for use in body.uses:
        name, number = parse_key_id(use.key_id)
        context.key = use.key_id
        if not context.caller.may("fieldkey", name):
            context.permit("datakey", name)
        if number is None:
            raise KeyNotFoundError("a report names versions")
        key = context.provider.keys.get(name)
        context.permit("fieldkey" if key.key_type in _OF_FIELDS else "datakey", name)
        handles[use.key_id] = key.version(number).handle
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
