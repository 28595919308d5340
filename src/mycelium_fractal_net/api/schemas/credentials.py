"""The routes of credentials."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import (
    CREDENTIAL_ID_PATTERN,
    Model,
    Moment,
    examples,
)

_SCOPE = (
    r"^(?:(?:encrypt|decrypt|sign|verify|mac|rewrap|datakey):(?:\*|[a-z0-9][a-z0-9._-]{0,63})"
    r"|allow_compromised|keys:read|keys:admin|credentials:admin|signers:admin|audit:read"
    r"|metrics:read|\*)$"
)
Scope = Annotated[str, Field(pattern=_SCOPE, examples=["encrypt:orders"])]
CredentialId = Annotated[str, Field(pattern=CREDENTIAL_ID_PATTERN)]
_CREDENTIAL: dict[str, Any] = {
    "id": "un23xcch6poedl7m",
    "name": "billing",
    "scopes": ["encrypt:orders", "decrypt:*"],
    "state": "active",
    "created_at": "2026-11-24T12:27:35Z",
    "expires_at": None,
    "rotated_at": None,
    "rotation_due": "2027-02-22T12:27:35Z",
    "previous_until": None,
}
_API_KEY = "mfn_un23xcch6poedl7m_this-is-an-example-that-opens-nothing-at-al"


class CreateCredentialRequest(Model):
    """A credential to be made. Nobody grants a scope that he lacks."""

    model_config = examples(
        {"name": "billing", "scopes": ["encrypt:orders", "decrypt:*"], "expires_days": 365}
    )

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

    model_config = examples({"revoke_previous": True})

    revoke_previous: bool = False


class CredentialQuery(Model):
    """A page of the list."""

    after: Annotated[
        str,
        Field(pattern=r"^(?:[a-z0-9]{16})?$", description="List what sorts after this id."),
    ] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class CredentialAnswer(Model):
    """A credential. Its secret is stored nowhere and cannot be shown."""

    model_config = examples(_CREDENTIAL)

    id: CredentialId
    name: str
    scopes: list[Scope]
    state: Literal["active", "unconfirmed", "revoked"]
    created_at: Moment
    expires_at: Moment | None
    rotated_at: Moment | None
    rotation_due: Annotated[Moment, Field(description="When the secret should be renewed.")]
    previous_until: Annotated[
        Moment | None, Field(description="Until when the former secret is accepted.")
    ]


class NewCredential(CredentialAnswer):
    """A credential with its API key, which is shown this once."""

    model_config = examples({**_CREDENTIAL, "api_key": _API_KEY})

    api_key: Annotated[
        str,
        Field(
            pattern="^mfn_[a-z0-9]{16}_[A-Za-z0-9_-]{43}$",
            description="`mfn_<id>_<secret>`; send it as `X-API-Key`.",
        ),
    ]


class CredentialList(Model):
    """A page of credentials in order of id; `next` is the `after` of the next page, if any."""

    model_config = examples({"credentials": [_CREDENTIAL], "next": None})

    credentials: list[CredentialAnswer]
    next: CredentialId | None
