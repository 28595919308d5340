"""`/signers`: register, list and revoke public keys that may sign requests.

A signer has a hand on its credentials: it is one half of what they need, and the one that binds
them can shut them out. So it takes the scopes of a credential to register, or revoke, its signer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query

from mycelium_fractal_net.api.endpoints.context import Authenticated, Context
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.routes.common import listed, record_in_path
from mycelium_fractal_net.api.schemas.signers import AddSignerRequest, SignerList, SignerQuery
from mycelium_fractal_net.security.records.keys import KEY_NAME
from mycelium_fractal_net.shapes.callers import SignerAnswer, signer_shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.security.records.signers import Signer

routes = Routes("signers")


def _check_grant(context: Context, credentials: Iterable[str], *, any_credential: bool) -> None:
    """Raise :class:`NotPermittedError` unless the caller has all that those credentials have."""
    if any_credential:
        context.caller.check_grant(("*",), None, bound=True)
    for each in credentials:
        found = context.provider.credentials.get(each)
        context.caller.check_grant(found.scopes, found.expires_at, bound=True)


def _named(context: Context, name: str) -> Signer:
    return record_in_path(context, context.provider.signers, KEY_NAME, name)


@routes.change(
    "/signers", "signer.add", SignerAnswer, status=201, scope="signers:admin",
    problems=("not-found", "exists", "algorithm"),
)  # fmt: skip
def add_signer(context: Authenticated, body: AddSignerRequest) -> SignerAnswer:
    """Register a public key that may sign requests. Scope: `signers:admin`.

    It takes every scope of the credentials that it names, and `*` for one that signs for any. The
    credentials that it names work only in signed requests from then on.
    """
    context.subject = body.name
    named = tuple(body.credentials or ())
    _check_grant(context, named, any_credential=body.any_credential)
    added = context.provider.signers.add(
        body.name,
        body.public_key.encode(),
        credentials=named,
        any_credential=body.any_credential,
    )
    return signer_shape(added)


@routes.add(
    "GET", "/signers", "signer.list", SignerList, scope="signers:admin", in_thread=True,
)  # fmt: skip
def list_signers(context: Authenticated, query: Annotated[SignerQuery, Query()]) -> dict[str, Any]:
    """List signers in order of name, a page at a time. Scope: `signers:admin`."""
    return listed(context.provider.signers, query, KEY_NAME, signer_shape)


@routes.add(
    "GET", "/signers/{name}", "signer.show", SignerAnswer, scope="signers:admin",
    in_thread=True, problems=("not-found",),
)  # fmt: skip
def show_signer(context: Authenticated, name: str) -> SignerAnswer:
    """Show a signer with its public key. Scope: `signers:admin`."""
    return signer_shape(_named(context, name))


@routes.change(
    "/signers/{name}/revoke", "signer.revoke", SignerAnswer, scope="signers:admin",
    problems=("not-found",),
)  # fmt: skip
def revoke_signer(context: Authenticated, name: str) -> SignerAnswer:
    """End a signer, for ever and everywhere within 5 seconds. Scope: `signers:admin`.

    It takes every scope of the credentials that it names, and `*` for one that signs for any. A
    credential whose last signer it was works no more.
    """
    found = _named(context, name)
    _check_grant(context, found.credentials, any_credential=found.any_credential)
    return signer_shape(context.provider.signers.revoke(name))
