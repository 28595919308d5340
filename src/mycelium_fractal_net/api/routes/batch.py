"""`/crypto/*/batch`: many items of one kind, one audit record for all of them."""

from __future__ import annotations

import contextlib
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mycelium_fractal_net.api.endpoints.context import Authenticated, Context
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.http.problems import RequestError, body_of
from mycelium_fractal_net.api.http.responses import log_unexpected
from mycelium_fractal_net.api.routes import crypto
from mycelium_fractal_net.api.schemas.batch import (
    DecryptBatch,
    DecryptBatchAnswer,
    EncryptBatch,
    EncryptBatchAnswer,
    IndexBatch,
    IndexBatchAnswer,
    RewrapBatch,
    SignBatch,
    SignBatchAnswer,
    VerifyBatch,
    VerifyBatchAnswer,
)
from mycelium_fractal_net.api.schemas.crypto import DecryptRequest
from mycelium_fractal_net.api.service.costs import (
    ITEM_SECONDS,
    THREAD_SECONDS,
    XOR_SECONDS,
    signature_cost,
)
from mycelium_fractal_net.security.blocking import WouldBlockError, about_to_ask
from mycelium_fractal_net.security.errors import InvalidInputError, MfnError, kind_of
from mycelium_fractal_net.security.records.keys import DEFAULT_KEY_ID, KeyType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mycelium_fractal_net.api.schemas.crypto import SignRequest, VerifyRequest

    _Item = TypeVar("_Item")

routes = Routes("batch")
_MOST_XOR: Final = 10  # each takes 23 ms of PBKDF2
_MOST_EXTERNAL: Final = 100  # each is a call to the custodian, one after the other
_SIGNING: Final = DEFAULT_KEY_ID[KeyType.SIGNING]
_UNKNOWN = "-"  # the version of an item that names none, in the audit record


@routes.add("POST", "/crypto/encrypt/batch", "encrypt.batch", EncryptBatchAnswer)
def encrypt_batch(context: Authenticated, body: EncryptBatch) -> dict[str, Any]:
    """Encrypt up to 1,000 things; one that fails does not fail the others."""
    return _each(context, body.items, crypto.encrypt)


@routes.add("POST", "/crypto/decrypt/batch", "decrypt.batch", DecryptBatchAnswer, deprecates=True)
def decrypt_batch(context: Authenticated, body: DecryptBatch) -> dict[str, Any]:
    """Open up to 1,000 messages, of which 10 may be of the XOR cipher; one that fails does not
    fail the others."""
    look_up = partial(crypto.look_up, context, "decrypt", body.items)
    if context.keyring.old_format is None:
        return _each(context, body.items, crypto.decrypt, first=look_up)
    left = _MOST_XOR
    cost = 0.0
    if found := sum(crypto.is_xor(context, item) for item in body.items):
        cost = THREAD_SECONDS + min(found, _MOST_XOR) * XOR_SECONDS

    def work(context: Context, item: DecryptRequest) -> dict[str, Any]:
        nonlocal left
        if crypto.is_xor(context, item):
            left -= 1
            if left < 0:
                raise InvalidInputError(
                    f"a batch opens {_MOST_XOR} messages of the XOR cipher; send this in another"
                )
        return crypto.decrypt(context, item)

    return _each(context, body.items, work, cost, first=look_up)


@routes.add("POST", "/crypto/rewrap/batch", "rewrap.batch", EncryptBatchAnswer)
def rewrap_batch(context: Authenticated, body: RewrapBatch) -> dict[str, Any]:
    """Move up to 1,000 messages to the newest version of their keys."""
    look_up = partial(crypto.look_up, context, "rewrap", body.items)
    return _each(context, body.items, crypto.rewrap, first=look_up)


@routes.add("POST", "/crypto/sign/batch", "sign.batch", SignBatchAnswer)
def sign_batch(context: Authenticated, body: SignBatch) -> dict[str, Any]:
    """Sign up to 1,000 things, 100 of them with external keys; one that fails does not fail the
    others."""
    external = _external_keys(context, body.items)
    if not external:
        cost = _signatures_cost(context, "sign", body.items)
        return _each(context, body.items, crypto.sign, cost)
    about_to_ask()
    left = _MOST_EXTERNAL

    def work(context: Context, item: SignRequest) -> dict[str, Any]:
        nonlocal left
        if item.key_id in external:
            left -= 1
            if left < 0:
                raise InvalidInputError(
                    f"a batch signs {_MOST_EXTERNAL} times with external keys; send this in another"
                )
        return crypto.sign(context, item)

    return _each(context, body.items, work)


@routes.add("POST", "/crypto/verify/batch", "verify.batch", VerifyBatchAnswer)
def verify_batch(context: Authenticated, body: VerifyBatch) -> dict[str, Any]:
    """Verify up to 1,000 signatures."""
    cost = _signatures_cost(context, "verify", body.items)
    return _each(context, body.items, crypto.verify, cost)


@routes.add("POST", "/crypto/index/batch", "index.batch", IndexBatchAnswer)
def index_batch(context: Authenticated, body: IndexBatch) -> dict[str, Any]:
    """Make the tags of up to 1,000 values; one that fails does not fail the others."""
    return _each(context, body.items, crypto.index)


def _external_keys(context: Context, items: Sequence[SignRequest]) -> frozenset[str | None]:
    """Those of the keys that items name whose signatures the custodian makes.

    One that the caller may not use is not looked for: it takes what one takes that is not there.
    """
    found: set[str | None] = set()
    for named in {item.key_id for item in items}:
        with contextlib.suppress(MfnError):  # such an item fails by itself
            if context.keyring.is_external(crypto.permitted_key(context, "sign", named, _SIGNING)):
                found.add(named)
    return frozenset(found)


def _signatures_cost(
    context: Context, operation: str, items: Sequence[SignRequest] | Sequence[VerifyRequest]
) -> float:
    """What the signatures of a batch take of a processor, in seconds."""
    cost = 0.0
    for named, count in Counter(item.key_id for item in items).items():
        with contextlib.suppress(MfnError):  # such an item fails by itself, and at once
            key_id = crypto.permitted_key(context, operation, named, _SIGNING)
            algorithm = context.keyring.algorithm_of(key_id)
            cost += count * signature_cost(operation, algorithm)
    return cost


def _each(
    context: Context,
    items: Sequence[_Item],
    work: Callable[[Context, _Item], dict[str, Any]],
    cost: float = 0.0,
    first: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The answers in the order of the items, and the counts for the audit record.

    ``cost`` is what they take of a processor beyond what every item does, in seconds; ``first``
    is done before the first of them.
    """
    most = context.service.settings.server.max_batch_items
    if len(items) > most:
        raise RequestError("too-large", f"a batch has at most {most} items")
    rates = context.service.rates
    if rates is not None and not context.are_items_counted:  # it may be run again in a thread
        rates.take_items(context.caller.credential_id, context.address, len(items))
        context.are_items_counted = True
    context.about_to_take(cost + len(items) * ITEM_SECONDS)
    first()
    answers: list[dict[str, Any]] = []
    counts: dict[tuple[str, str], int] = {}
    for item in items:
        context.key = None
        try:
            answer = work(context, item)
            outcome = "ok"
        except WouldBlockError:  # the whole batch is run again, in a thread
            raise
        except Exception as error:
            outcome = kind_of(error).slug
            if outcome == "unexpected":
                log_unexpected(error, context.request_id)
            answer = {"error": body_of(error)}
        reference: str | None = item.reference  # type: ignore[attr-defined]
        if reference is not None:
            answer["reference"] = reference
        answers.append(answer)
        counted = (context.key or _UNKNOWN, outcome)
        counts[counted] = counts.get(counted, 0) + 1
    _count(context, counts)
    return {"items": answers}


def _count(context: Context, counts: dict[tuple[str, str], int]) -> None:
    context.key = None
    context.items = {}
    for (key, outcome), count in counts.items():
        context.items.setdefault(key, {})[outcome] = count
        context.service.metrics.count("items", context.event, outcome, count=count)
