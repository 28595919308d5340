"""The routes of credentials."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import Model, PageQuery, Warnings, examples, published
from mycelium_fractal_net.shapes.callers import CredentialAnswer
from mycelium_fractal_net.shapes.members import CREDENTIAL_ID_PATTERN, SCOPE_PATTERN, Schema

Scope = Annotated[str, Field(pattern=SCOPE_PATTERN, examples=["encrypt:orders"])]
CredentialId = Annotated[str, Field(pattern=CREDENTIAL_ID_PATTERN)]
_CREDENTIAL: dict[str, Any] = {
    "id": "un23xcch6poedl7m",
    "name": "billing",
    "scopes": ["encrypt:orders", "decrypt:*"],
    "state": "active",
    "bound": False,
    "created_at": "2026-11-24T12:27:35Z",
    "expires_at": None,
    "rotated_at": None,
    "rotation_due": "2027-02-22T12:27:35Z",
    "previous_until": None,
}
_API_KEY = "mfn_un23xcch6poedl7m_this-is-an-example-that-opens-nothing-at-al"


class CreateCredentialRequest(Model):
    """A credential to be made. None hands out more than it has: of scopes, of time, or of freedom
    from a signature."""

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
    bound: Annotated[
        bool, Field(description="It works only in signed requests; it still needs a signer.")
    ] = False


class RotateCredentialRequest(Model):
    """How the former secret ends: one overlap later, or at once."""

    model_config = examples({"revoke_previous": True})

    revoke_previous: bool = False


class CredentialQuery(PageQuery):
    """A page of the list."""

    after: Annotated[
        str,
        Field(pattern=r"^(?:[a-z0-9]{16})?$", description="List what sorts after this id."),
    ] = ""


class NewCredential(CredentialAnswer):
    """A credential with its API key, which is shown this once."""

    api_key: Annotated[
        str,
        Schema(
            pattern="^mfn_[a-z0-9]{16}_[A-Za-z0-9_-]{43}$",
            description="`mfn_<id>_<secret>`; send it as `X-API-Key`.",
        ),
    ]
    warnings: NotRequired[
        Annotated[
            list[str],
            Schema(description="Of scopes for keys that are not there; absent where all are."),
        ]
    ]


published(CredentialAnswer, _CREDENTIAL)
published(NewCredential, {**_CREDENTIAL, "api_key": _API_KEY})


class CredentialList(Model):
    """A page of credentials in order of id; `next` is the `after` of the next page, if any."""

    model_config = examples({"credentials": [_CREDENTIAL], "next": None})

    credentials: list[CredentialAnswer]
    next: CredentialId | None
    warnings: Warnings
