"""A credential as it is shown: never its secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typing_extensions import TypedDict

from mycelium_fractal_net.shapes.members import SCOPE_PATTERN, CredentialId, Schema, Time
from mycelium_fractal_net.shapes.times import time_text

if TYPE_CHECKING:
    from mycelium_fractal_net.security.records.credentials import Credential


class CredentialAnswer(TypedDict):
    """A credential. Its secret is stored nowhere and cannot be shown."""

    id: CredentialId
    name: str
    scopes: list[Annotated[str, Schema(pattern=SCOPE_PATTERN, examples=["encrypt:orders"])]]
    state: Annotated[str, Schema(enum=["active", "unconfirmed", "revoked"])]
    created_at: Time
    expires_at: Time | None
    rotated_at: Time | None
    rotation_due: Annotated[Time, Schema(description="When the secret should be renewed.")]
    previous_until: Annotated[
        Time | None, Schema(description="Until when the former secret is accepted.")
    ]


def credential_shape(credential: Credential, rotation_days: int) -> CredentialAnswer:
    """The shape of a credential whose secret is due ``rotation_days`` after it was made."""
    return {
        "id": credential.credential_id,
        "name": credential.name,
        "scopes": list(credential.scopes),
        "state": credential.state.value,
        "created_at": time_text(credential.created_at),
        "expires_at": time_text(credential.expires_at),
        "rotated_at": time_text(credential.rotated_at),
        "rotation_due": time_text(credential.due_at(rotation_days)),
        "previous_until": time_text(credential.previous_until),
    }
