"""`/signers`: register, list and revoke public keys that may sign requests.

A signer has a hand on its credentials: it is one half of what they need, and the one that binds
them can shut them out. So it takes the scopes of a credential to register, or revoke, its signer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query

from mycelium_fractal_net.api.endpoints.context import Authenticated, Context
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.schemas.signers import (
    AddSignerRequest,
    SignerList,
    SignerQuery,
)
from mycelium_fractal_net.security.errors import KeyNotFoundError, NotPermittedError
from mycelium_fractal_net.security.records.keys import KEY_ID_PATTERN
from mycelium_fractal_net.shapes.callers import SignerAnswer, signer_shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.security.records.signers import Signer

routes = Routes("signers")


def _check_covers(context: Context, credentials: Iterable[str], *, any_credential: bool) -> None:
    """Raise :class:`NotPermittedError` unless the caller has all that those credentials have."""
    provider = context.service.keyring.provider
    scopes = {scope for each in credentials for scope in provider.credentials.get(each).scopes}
    if not context.caller.covers({*scopes, "*"} if any_credential else scopes):
        raise NotPermittedError(
            "nobody adds, or ends, a signer for a credential that has a scope that he lacks"
        )


def _named(context: Context, name: str) -> Signer:
    """The signer of a name in a path; what can be no name names nothing."""
    if KEY_ID_PATTERN.fullmatch(name) is None:
        raise KeyNotFoundError("no such signer")
    found = context.service.keyring.provider.signers.get(name)
    context.subject = found.name
    return found


@routes.add(
    "POST", "/signers", "signer.add", SignerAnswer, status=201,
    scope="signers:admin", in_thread=True, recorded=False,
    problems=("not-found", "exists", "algorithm", "conflict"),
)  # fmt: skip
def add_signer(context: Authenticated, body: AddSignerRequest) -> SignerAnswer:
    """Register a public key that may sign requests. Scope: `signers:admin`, and all of its own.

    It takes every scope of the credentials that it names, and `*` for one that signs for any. The
    credentials that it names work only in signed requests from then on.
    """
    context.subject = body.name
    credentials = tuple(body.credentials or ())
    _check_covers(context, credentials, any_credential=body.any_credential)
    added = context.service.keyring.provider.signers.add(
        body.name,
        body.public_key.encode(),
        credentials=credentials,
        any_credential=body.any_credential,
    )
    context.service.keyring.refresh()
    return signer_shape(added)


@routes.add(
    "GET", "/signers", "signer.list", SignerList, scope="signers:admin", in_thread=True,
)  # fmt: skip
def list_signers(context: Authenticated, query: Annotated[SignerQuery, Query()]) -> dict[str, Any]:
    """List signers in order of name, a page at a time. Scope: `signers:admin`."""
    found = context.service.keyring.provider.signers.page(query.after, query.limit)
    more = len(found) == query.limit
    return {
        "signers": [signer_shape(each) for each in found],
        "next": found[-1].name if more else None,
    }


@routes.add(
    "GET", "/signers/{name}", "signer.show", SignerAnswer, scope="signers:admin",
    in_thread=True, problems=("not-found",),
)  # fmt: skip
def show_signer(context: Authenticated, name: str) -> SignerAnswer:
    """Show a signer with its public key. Scope: `signers:admin`."""
    return signer_shape(_named(context, name))


@routes.add(
    "POST", "/signers/{name}/revoke", "signer.revoke", SignerAnswer, scope="signers:admin",
    in_thread=True, recorded=False, problems=("not-found", "conflict"),
)  # fmt: skip
def revoke_signer(context: Authenticated, name: str) -> SignerAnswer:
    """End a signer, for ever and everywhere within 5 seconds. Scope: `signers:admin`.

    It takes every scope of the credentials that it names, and `*` for one that signs for any. A
    credential whose last signer it was works no more.
    """
    found = _named(context, name)
    _check_covers(context, found.credentials, any_credential=found.any_credential)
    revoked = context.service.keyring.provider.signers.revoke(found.name)
    context.service.keyring.refresh()
    return signer_shape(revoked)
