"""`/credentials`: make, list, rotate and revoke API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query

from mycelium_fractal_net.api.endpoints.context import Authenticated, Context
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.routes.common import listed, record_in_path
from mycelium_fractal_net.api.schemas.credentials import (
    CreateCredentialRequest,
    CredentialList,
    CredentialQuery,
    NewCredential,
    RotateCredentialRequest,
)
from mycelium_fractal_net.security.records.api_keys import CREDENTIAL_ID
from mycelium_fractal_net.shapes.callers import CredentialAnswer, credential_shape

if TYPE_CHECKING:
    from mycelium_fractal_net.security.records.credentials import Credential

routes = Routes("credentials")


def _check_grant(context: Context, credential: Credential) -> None:
    """Raise :class:`NotPermittedError` unless the caller may take over that credential."""
    context.caller.check_grant(credential.scopes, credential.expires_at, bound=credential.bound)


def _named(context: Context, credential_id: str) -> Credential:
    return record_in_path(context, context.provider.credentials, CREDENTIAL_ID, credential_id)


def _shape(context: Context, credential: Credential) -> CredentialAnswer:
    return credential_shape(credential, context.service.settings.credentials.rotation_days)


@routes.change(
    "/credentials", "credential.create", NewCredential, status=201, scope="credentials:admin"
)
def create_credential(context: Authenticated, body: CreateCredentialRequest) -> dict[str, Any]:
    """Make a credential; its API key is shown this once. Scope: `credentials:admin`.

    Its scopes must be among those of the one that makes it, it ends no later, and where that one
    works only in signed requests, so does it: say `bound`.
    """
    provider, days = context.provider, body.expires_days
    ends = None if days is None else provider.clock() + timedelta(days=days)
    context.caller.check_grant(body.scopes, ends, bound=body.bound)
    made, api_key = provider.credentials.create(
        body.name, tuple(body.scopes), expires_at=ends, bound=body.bound
    )
    answer = {**_shape(context, made), "api_key": api_key.text}
    if warnings := provider.keys.warnings_of(body.scopes):
        answer["warnings"] = warnings
    return answer


@routes.add(
    "GET", "/credentials", "credential.list", CredentialList, scope="credentials:admin",
    in_thread=True,
)  # fmt: skip
def list_credentials(
    context: Authenticated, query: Annotated[CredentialQuery, Query()]
) -> dict[str, Any]:
    """List credentials in order of id, a page at a time. Scope: `credentials:admin`."""
    table = context.provider.credentials
    return listed(table, query, CREDENTIAL_ID, lambda each: _shape(context, each))


@routes.add(
    "GET", "/credentials/self", "credential.show", CredentialAnswer, in_thread=True,
    problems=("not-found",),
)  # fmt: skip
def show_own_credential(context: Authenticated) -> CredentialAnswer:
    """Show the credential that calls."""
    return _shape(context, _named(context, context.caller.credential_id))


@routes.change(
    "/credentials/self/rotate", "credential.rotate", NewCredential,
    problems=("forbidden", "not-found", "key-state"),
)  # fmt: skip
def rotate_own_credential(
    context: Authenticated, body: RotateCredentialRequest | None = None
) -> dict[str, Any]:
    """Give the credential that calls a new secret, which is shown this once.

    The former one ends one overlap later, or at once with `revoke_previous`. It takes the newest
    one to rotate: whoever holds a former secret locks nobody out.
    """
    return _rotate(context, context.caller.credential_id, body)


@routes.add(
    "GET", "/credentials/{credential_id}", "credential.show", CredentialAnswer,
    scope="credentials:admin", in_thread=True, problems=("not-found",),
)  # fmt: skip
def show_credential(context: Authenticated, credential_id: str) -> CredentialAnswer:
    """Show a credential, and never its secret. Scope: `credentials:admin`."""
    return _shape(context, _named(context, credential_id))


@routes.change(
    "/credentials/{credential_id}/rotate", "credential.rotate", NewCredential,
    scope="credentials:admin", problems=("not-found", "key-state"),
)  # fmt: skip
def rotate_credential(
    context: Authenticated, credential_id: str, body: RotateCredentialRequest | None = None
) -> dict[str, Any]:
    """Give another credential a new secret.

    Scope: `credentials:admin`, and all that it has itself.
    """
    found = _named(context, credential_id)
    _check_grant(context, found)
    return _rotate(context, credential_id, body)


def _rotate(
    context: Context, credential_id: str, body: RotateCredentialRequest | None
) -> dict[str, Any]:
    context.subject = credential_id
    rotated, api_key = context.provider.credentials.rotate(
        credential_id,
        overlap=timedelta(days=context.service.settings.credentials.overlap_days),
        revoke_previous=body is not None and body.revoke_previous,
    )
    return {**_shape(context, rotated), "api_key": api_key.text}


@routes.change(
    "/credentials/{credential_id}/revoke", "credential.revoke", CredentialAnswer,
    scope="credentials:admin", problems=("not-found",),
)  # fmt: skip
def revoke_credential(context: Authenticated, credential_id: str) -> CredentialAnswer:
    """End a credential, for ever and everywhere within 5 seconds. Scope: `credentials:admin`."""
    found = _named(context, credential_id)
    return _shape(context, context.provider.credentials.revoke(found.credential_id))


@routes.change(
    "/credentials/{credential_id}/confirm", "credential.confirm", CredentialAnswer,
    scope="credentials:admin", problems=("not-found", "key-state"),
)  # fmt: skip
def confirm_credential(context: Authenticated, credential_id: str) -> CredentialAnswer:
    """Let a credential work again that waits since the store was restored from a backup.

    Scope: `credentials:admin`, and all that it has itself.
    """
    found = _named(context, credential_id)
    _check_grant(context, found)
    return _shape(context, context.provider.credentials.confirm(credential_id))
