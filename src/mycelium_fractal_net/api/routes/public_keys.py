"""Public keys: of one version to those who may verify with it, and published ones to anybody."""

from __future__ import annotations

from typing import Any

from mycelium_fractal_net.api.endpoints.context import Authenticated, Public
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.routes.common import key_in_path
from mycelium_fractal_net.api.schemas.keys import JwkSet, PublicKeyAnswer
from mycelium_fractal_net.security.errors import KeyNotFoundError

routes = Routes("keys")


@routes.add(
    "GET", "/keys/{key_id}/public", "key.public", PublicKeyAnswer, in_thread=True,
    problems=("not-found", "key-usage"),
)  # fmt: skip
def public_key(context: Authenticated, key_id: str) -> dict[str, Any]:
    """The public key of a version, or of the newest. Scope: `verify:KEY` or `keys:read`."""
    name = key_in_path(context, key_id)
    if not (context.caller.may("verify", name) or context.caller.has("keys:read")):
        raise KeyNotFoundError("no such key")
    return context.keyring.public_key(key_id)._asdict()


@routes.add(
    "GET", "/.well-known/jwks.json", "jwks", JwkSet, public=True, recorded=False,
    problems=("store-unavailable", "store-integrity", "master-key", "disabled"),
)  # fmt: skip
def jwks(context: Public) -> dict[str, Any]:
    """The public keys of all published keys that may verify, RFC 7517. For anybody."""
    return {"keys": context.keyring.published_keys()}
