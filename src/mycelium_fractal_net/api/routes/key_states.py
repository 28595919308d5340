"""`/keys/{key_id}/VERB`: the state of one version, NIST SP 800-57 part 1 section 7."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.api.endpoints.context import Authenticated, Context
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.routes.common import key_in_path
from mycelium_fractal_net.api.schemas.keys import StateRequest
from mycelium_fractal_net.security.records.keys import DESTRUCTION_WINDOW_DAYS, Verb
from mycelium_fractal_net.shapes.keys import KeyAnswer, key_shape

if TYPE_CHECKING:
    from collections.abc import Callable

routes = Routes("keys")

_SUMMARIES: Final = {
    Verb.SUSPEND: "Stop a version for the time being: it neither protects nor decrypts.",
    Verb.ACTIVATE: "Let a version that is suspended, or not yet active, serve.",
    Verb.DEACTIVATE: "Retire a version: it decrypts and verifies, and never protects again.",
    Verb.COMPROMISE: "Mark a version as known to others. There is no way back.",
    Verb.DESTROY: "Begin the recovery window after which the material is erased.",
    Verb.CANCEL_DESTRUCTION: "Keep a version whose destruction is pending.",
}


def _handler(verb: Verb) -> Callable[..., KeyAnswer]:
    def change_state(context: Authenticated, key_id: str) -> KeyAnswer:
        return _apply(context, verb, key_id)

    def destroy(context: Authenticated, key_id: str, body: StateRequest | None = None) -> KeyAnswer:
        asked = body or StateRequest()
        window = asked.window_days or DESTRUCTION_WINDOW_DAYS
        return _apply(context, verb, key_id, window, asked.reason)

    handler = destroy if verb is Verb.DESTROY else change_state
    handler.__name__ = f"{verb.value.replace('-', '_')}_key"
    handler.__doc__ = (
        f"{_SUMMARIES[verb]}\n\nThe version named, or of a bare key id the newest."
        " Scope: `keys:admin`."
    )
    return handler


def _apply(
    context: Context,
    verb: Verb,
    key_id: str,
    window_days: int = DESTRUCTION_WINDOW_DAYS,
    reason: str | None = None,
) -> KeyAnswer:
    key_in_path(context, key_id)
    return key_shape(
        context.provider.states.apply(verb, key_id, window_days=window_days, reason=reason)
    )


for _verb in Verb:
    routes.change(
        f"/keys/{{key_id}}/{_verb.value}", f"key.{_verb.value}", KeyAnswer, scope="keys:admin",
        problems=("not-found", "key-state"),
    )(_handler(_verb))  # fmt: skip
