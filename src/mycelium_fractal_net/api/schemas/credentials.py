"""The routes of credentials."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import Model, Moment

__all__ = [
    "CreateCredentialRequest",
    "CredentialAnswer",
    "CredentialList",
    "CredentialQuery",
    "NewCredential",
    "RotateCredentialRequest",
]

_SCOPE = (
    r"^(?:(?:encrypt|decrypt|sign|verify|mac|rewrap|datakey):(?:\*|[a-z0-9][a-z0-9._-]{0,63})"
    r"|allow_compromised|keys:read|keys:admin|credentials:admin|signers:admin|audit:read"
    r"|metrics:read|\*)$"
)
Scope = Annotated[str, Field(pattern=_SCOPE, examples=["encrypt:orders"])]


class CreateCredentialRequest(Model):
    """A credential to be made. Nobody grants a scope that he lacks."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            pattern=r"^[\x20-\x7e]+$",
            description="For people; printable ASCII.",
            examples=["billing"],
        ),
    ]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=200)]
    expires_days: Annotated[
        int | None, Field(ge=1, le=36_500, description="Days until it ends; never by default.")
    ] = None


class RotateCredentialRequest(Model):
    """How the former secret ends: one overlap later, or at once."""

    revoke_previous: bool = False


class CredentialQuery(Model):
    """A page of the list."""

    after: Annotated[str, Field(max_length=64, description="List what sorts after this id.")] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class CredentialAnswer(Model):
    """A credential. Its secret is stored nowhere and cannot be shown."""

    id: str
    name: str
    scopes: list[str]
    state: Literal["active", "revoked"]
    created_at: Moment
    expires_at: Moment | None
    rotated_at: Moment | None
    rotation_due: Moment
    previous_until: Moment | None


class NewCredential(CredentialAnswer):
    """A credential with its API key, which is shown this once."""

    api_key: Annotated[str, Field(description="`mfn_<id>_<secret>`; send it as `X-API-Key`.")]


class CredentialList(Model):
    """A page of credentials in order of id; `next` is the `after` of the next page, if any."""

    credentials: list[CredentialAnswer]
    next: str | None
