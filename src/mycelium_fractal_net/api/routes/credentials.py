"""`/credentials`: make, list, rotate and revoke API keys."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Query

from mycelium_fractal_net.api.endpoints.context import Authenticated, Context
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.schemas.credentials import (
    CreateCredentialRequest,
    CredentialList,
    CredentialQuery,
    NewCredential,
    RotateCredentialRequest,
)
from mycelium_fractal_net.security.errors import KeyNotFoundError, NotPermittedError
from mycelium_fractal_net.shapes.callers import CredentialAnswer, credential_shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.security.records.credentials import Credential

routes = Routes("credentials")
_ID: Final = re.compile("[a-z0-9]{16}")


def _check_covers(context: Context, scopes: Iterable[str]) -> None:
    if not context.caller.covers(scopes):
        raise NotPermittedError("nobody grants, or takes over, a scope that he lacks")


def _named(context: Context, credential_id: str) -> Credential:
    """The credential of an id in a path; what is no id names nothing."""
    if _ID.fullmatch(credential_id) is None:
        raise KeyNotFoundError("no such credential")
    found = context.service.keyring.provider.credentials.get(credential_id)
    context.subject = found.credential_id
    return found


def _shape(context: Context, credential: Credential) -> CredentialAnswer:
    return credential_shape(credential, context.service.settings.credentials.rotation_days)


@routes.add(
    "POST", "/credentials", "credential.create", NewCredential, status=201,
    scope="credentials:admin", in_thread=True, recorded=False, problems=("conflict",),
)  # fmt: skip
def create_credential(context: Authenticated, body: CreateCredentialRequest) -> dict[str, Any]:
    """Make a credential; its API key is shown this once. Scope: `credentials:admin`.

    Its scopes must be among those of whoever makes it.
    """
    _check_covers(context, body.scopes)
    provider = context.service.keyring.provider
    expires = (
        None if body.expires_days is None else provider.clock() + timedelta(days=body.expires_days)
    )
    made, api_key = provider.credentials.create(body.name, tuple(body.scopes), expires_at=expires)
    context.service.keyring.refresh()
    return {**_shape(context, made), "api_key": api_key.text}


@routes.add(
    "GET", "/credentials", "credential.list", CredentialList, scope="credentials:admin",
    in_thread=True,
)  # fmt: skip
def list_credentials(
    context: Authenticated, query: Annotated[CredentialQuery, Query()]
) -> dict[str, Any]:
    """List credentials in order of id, a page at a time. Scope: `credentials:admin`."""
    found = context.service.keyring.provider.credentials.page(query.after, query.limit)
    more = len(found) == query.limit
    return {
        "credentials": [_shape(context, each) for each in found],
        "next": found[-1].credential_id if more else None,
    }


@routes.add(
    "GET",
    "/credentials/self",
    "credential.show",
    CredentialAnswer,
    in_thread=True,
    problems=("not-found",),
)
def show_own_credential(context: Authenticated) -> CredentialAnswer:
    """Show the credential that calls."""
    context.subject = context.caller.credential_id
    return _shape(
        context, context.service.keyring.provider.credentials.get(context.caller.credential_id)
    )


@routes.add(
    "POST", "/credentials/self/rotate", "credential.rotate", NewCredential, in_thread=True,
    recorded=False, problems=("forbidden", "not-found", "key-state", "conflict"),
)  # fmt: skip
def rotate_own_credential(
    context: Authenticated, body: RotateCredentialRequest | None = None
) -> dict[str, Any]:
    """Give the credential that calls a new secret, which is shown this once.

    The former one ends one overlap later, or at once with `revoke_previous`. It takes the newest
    one to rotate: whoever holds a former secret locks nobody out.
    """
    if context.caller.former:
        raise NotPermittedError("a credential is rotated with its newest API key")
    return _rotate(context, context.caller.credential_id, body)


@routes.add(
    "GET", "/credentials/{credential_id}", "credential.show", CredentialAnswer,
    scope="credentials:admin", in_thread=True, problems=("not-found",),
)  # fmt: skip
def show_credential(context: Authenticated, credential_id: str) -> CredentialAnswer:
    """Show a credential, and never its secret. Scope: `credentials:admin`."""
    found = _named(context, credential_id)
    return _shape(context, found)


@routes.add(
    "POST", "/credentials/{credential_id}/rotate", "credential.rotate", NewCredential,
    scope="credentials:admin", in_thread=True, recorded=False,
    problems=("not-found", "key-state", "conflict"),
)  # fmt: skip
def rotate_credential(
    context: Authenticated, credential_id: str, body: RotateCredentialRequest | None = None
) -> dict[str, Any]:
    """Give another credential a new secret. Scope: `credentials:admin`, and all of its own."""
    found = _named(context, credential_id)
    _check_covers(context, found.scopes)
    return _rotate(context, found.credential_id, body)


def _rotate(
    context: Context, credential_id: str, body: RotateCredentialRequest | None
) -> dict[str, Any]:
    context.subject = credential_id
    overlap = timedelta(days=context.service.settings.credentials.overlap_days)
    rotated, api_key = context.service.keyring.provider.credentials.rotate(
        credential_id,
        overlap=overlap,
        revoke_previous=body is not None and body.revoke_previous,
    )
    context.service.keyring.refresh()
    return {**_shape(context, rotated), "api_key": api_key.text}


@routes.add(
    "POST", "/credentials/{credential_id}/revoke", "credential.revoke", CredentialAnswer,
    scope="credentials:admin", in_thread=True, recorded=False,
    problems=("not-found", "conflict"),
)  # fmt: skip
def revoke_credential(context: Authenticated, credential_id: str) -> CredentialAnswer:
    """End a credential, for ever and everywhere within 5 seconds. Scope: `credentials:admin`."""
    found = _named(context, credential_id)
    revoked = context.service.keyring.provider.credentials.revoke(found.credential_id)
    context.service.keyring.refresh()
    return _shape(context, revoked)


@routes.add(
    "POST", "/credentials/{credential_id}/confirm", "credential.confirm", CredentialAnswer,
    scope="credentials:admin", in_thread=True, recorded=False,
    problems=("not-found", "key-state", "conflict"),
)  # fmt: skip
def confirm_credential(context: Authenticated, credential_id: str) -> CredentialAnswer:
    """Let a credential work again that waits since the store was restored from a backup.

    Scope: `credentials:admin`, and all of its own.
    """
    found = _named(context, credential_id)
    _check_covers(context, found.scopes)
    confirmed = context.service.keyring.provider.credentials.confirm(found.credential_id)
    context.service.keyring.refresh()
    return _shape(context, confirmed)
