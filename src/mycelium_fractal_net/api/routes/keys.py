"""`/keys`: make, list, show, change and rotate."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Query

from mycelium_fractal_net.api.endpoints.context import Authenticated
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.schemas.keys import (
    ChangeKeyRequest,
    CreateKeyRequest,
    KeyList,
    KeyQuery,
    RotateRequest,
    RotationChange,
)
from mycelium_fractal_net.security.errors import InvalidInputError, KeyNotFoundError
from mycelium_fractal_net.security.records.keys import (
    KeyType,
    RotationPolicy,
    parse_key_id,
)
from mycelium_fractal_net.shapes.json_values import parse_timestamp
from mycelium_fractal_net.shapes.keys import KeyAnswer, key_shape

routes = Routes("keys")


def name_in_path(key_id: str) -> str:
    """A key id in a path; what is none names nothing. Raises :class:`KeyNotFoundError`."""
    try:
        parse_key_id(key_id)
    except InvalidInputError:
        raise KeyNotFoundError("no such key") from None
    return key_id


def _changed(policy: RotationPolicy, change: RotationChange) -> RotationPolicy:
    given = {
        name: value
        for name in RotationChange.model_fields
        if (value := getattr(change, name)) is not None
    }
    return replace(policy, **given)


@routes.add(
    "POST", "/keys", "key.create", KeyAnswer, status=201, scope="keys:admin", in_thread=True,
    recorded=False, problems=("exists", "algorithm", "conflict"),
)  # fmt: skip
def create_key(context: Authenticated, body: CreateKeyRequest) -> KeyAnswer:
    """Make a named key with its first version, active at once. Scope: `keys:admin`."""
    context.key = body.key_id
    provider = context.service.keyring.provider
    policy = provider.keys.default_rotation[KeyType(body.type)]
    key = provider.keys.create(
        body.key_id,
        body.type,
        algorithm=body.algorithm,
        use=body.use,
        publish=body.publish,
        rotation=policy if body.rotation is None else _changed(policy, body.rotation),
    )
    context.service.keyring.refresh()  # at once in this process; the others follow within seconds
    return key_shape(key)


@routes.add("GET", "/keys", "key.list", KeyList, scope="keys:read", in_thread=True)
def list_keys(context: Authenticated, query: Annotated[KeyQuery, Query()]) -> dict[str, Any]:
    """List keys in order of name, a page at a time. Scope: `keys:read`."""
    found = context.service.keyring.provider.keys.page(query.after, query.limit)
    more = len(found) == query.limit
    return {
        "keys": [key_shape(key) for key in found],
        "next": found[-1].key_id if more else None,
    }


@routes.add(
    "GET", "/keys/{key_id}", "key.show", KeyAnswer, scope="keys:read", in_thread=True,
    problems=("not-found",),
)  # fmt: skip
def show_key(context: Authenticated, key_id: str) -> KeyAnswer:
    """Show a key with all its versions, and never a secret. Scope: `keys:read`."""
    context.key = name_in_path(key_id)
    return key_shape(context.service.keyring.provider.keys.get(key_id))


@routes.add(
    "PATCH", "/keys/{key_id}", "key.change", KeyAnswer, scope="keys:admin", in_thread=True,
    recorded=False, problems=("not-found", "key-usage", "conflict"),
)  # fmt: skip
def change_key(context: Authenticated, key_id: str, body: ChangeKeyRequest) -> KeyAnswer:
    """Change a key's rotation policy, or whether it is published. Scope: `keys:admin`."""
    context.key = name_in_path(key_id)
    provider = context.service.keyring.provider
    key = provider.keys.get(key_id)
    if body.publish is not None:
        key = provider.keys.set_publish(key_id, body.publish)
    if body.rotation is not None:
        key = provider.keys.set_rotation(key_id, _changed(key.rotation, body.rotation))
    context.service.keyring.refresh()
    return key_shape(key)


@routes.add(
    "POST", "/keys/{key_id}/rotate", "key.rotate", KeyAnswer, scope="keys:admin", in_thread=True,
    recorded=False, problems=("not-found", "algorithm", "conflict"),
)  # fmt: skip
def rotate_key(context: Authenticated, key_id: str, body: RotateRequest | None = None) -> KeyAnswer:
    """Add a version, which protects from now on; older ones go on opening. Scope: `keys:admin`.

    With `activate_at` it is there at once and protects from then on.
    """
    context.key = name_in_path(key_id)
    if ":" in key_id:
        raise KeyNotFoundError("a key is rotated by its name, without a version")
    keyring = context.service.keyring
    begins = None if body is None or body.activate_at is None else parse_timestamp(body.activate_at)
    context.key = keyring.provider.rotate_key(key_id, activate_at=begins)
    keyring.refresh()
    return key_shape(keyring.provider.keys.get(key_id))
