"""`/keys`: make, list, show, change and rotate; public keys, of published ones to anybody."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Query

from mycelium_fractal_net.api.endpoints.context import Authenticated, Public
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.routes.common import key_in_path, listed
from mycelium_fractal_net.api.schemas.keys import (
    ChangeKeyRequest,
    CreateKeyRequest,
    JwkSet,
    KeyList,
    KeyQuery,
    PublicKeyAnswer,
    RotateRequest,
    RotationChange,
)
from mycelium_fractal_net.security.errors import KeyNotFoundError
from mycelium_fractal_net.security.records.keys import KEY_NAME, KeyType, RotationPolicy
from mycelium_fractal_net.shapes.json_values import parse_timestamp
from mycelium_fractal_net.shapes.keys import KeyAnswer, key_shape

routes = Routes("keys")


def _changed(policy: RotationPolicy, change: RotationChange) -> RotationPolicy:
    given = {
        name: value
        for name in RotationChange.model_fields
        if (value := getattr(change, name)) is not None
    }
    return replace(policy, **given)


@routes.change(
    "/keys", "key.create", KeyAnswer, status=201, scope="keys:admin",
    problems=("exists", "algorithm"),
)  # fmt: skip
def create_key(context: Authenticated, body: CreateKeyRequest) -> KeyAnswer:
    """Make a named key with its first version, active at once. Scope: `keys:admin`."""
    context.key = body.key_id
    keys = context.provider.keys
    policy = keys.default_rotation[KeyType(body.type)]
    key = keys.create(
        body.key_id,
        body.type,
        algorithm=body.algorithm,
        use=body.use,
        publish=body.publish,
        exportable=body.exportable,
        external=body.external,
        rotation=policy if body.rotation is None else _changed(policy, body.rotation),
    )
    return key_shape(key)


@routes.add("GET", "/keys", "key.list", KeyList, scope="keys:read", in_thread=True)
def list_keys(context: Authenticated, query: Annotated[KeyQuery, Query()]) -> dict[str, Any]:
    """List keys in order of name, a page at a time. Scope: `keys:read`."""
    return listed(context.provider.keys, query, KEY_NAME, key_shape)


@routes.add(
    "GET", "/keys/{key_id}", "key.show", KeyAnswer, scope="keys:read", in_thread=True,
    problems=("not-found",),
)  # fmt: skip
def show_key(context: Authenticated, key_id: str) -> KeyAnswer:
    """Show a key with all its versions, and never a secret. Scope: `keys:read`."""
    key_in_path(context, key_id)
    return key_shape(context.provider.keys.get(key_id))


@routes.change(
    "/keys/{key_id}", "key.change", KeyAnswer, method="PATCH", scope="keys:admin",
    problems=("not-found", "key-usage"),
)  # fmt: skip
def change_key(context: Authenticated, key_id: str, body: ChangeKeyRequest) -> KeyAnswer:
    """Change a key's rotation policy, or whether it is published. Scope: `keys:admin`."""
    key_in_path(context, key_id)
    keys = context.provider.keys
    key = keys.get(key_id)
    if body.publish is not None:
        key = keys.set_publish(key_id, body.publish)
    if body.rotation is not None:
        key = keys.set_rotation(key_id, _changed(key.rotation, body.rotation))
    return key_shape(key)


@routes.change(
    "/keys/{key_id}/rotate", "key.rotate", KeyAnswer, scope="keys:admin",
    problems=("not-found", "algorithm"),
)  # fmt: skip
def rotate_key(context: Authenticated, key_id: str, body: RotateRequest | None = None) -> KeyAnswer:
    """Add a version, which protects from now on; older ones go on opening. Scope: `keys:admin`.

    With `activate_at` it is there at once and protects from then on.
    """
    if key_in_path(context, key_id) != key_id:
        raise KeyNotFoundError("a key is rotated by its name, without a version")
    begins = None if body is None or body.activate_at is None else parse_timestamp(body.activate_at)
    context.key = context.provider.rotate_key(key_id, activate_at=begins)
    return key_shape(context.provider.keys.get(key_id))


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
