"""Credentials and signers as they are shown: never a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typing_extensions import TypedDict

from mycelium_fractal_net.shapes.json_values import shape, time_text
from mycelium_fractal_net.shapes.members import (
    KEY_NAME_PATTERN,
    SCOPE_PATTERN,
    CredentialId,
    Schema,
    Time,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.security.records.credentials import Credential
    from mycelium_fractal_net.security.records.signers import Signer


class CredentialAnswer(TypedDict):
    """A credential. Its secret is stored nowhere and cannot be shown."""

    id: CredentialId
    name: str
    scopes: list[Annotated[str, Schema(pattern=SCOPE_PATTERN, examples=["encrypt:orders"])]]
    state: Annotated[str, Schema(enum=["active", "unconfirmed", "revoked"])]
    bound: Annotated[bool, Schema(description="Whether it works only in signed requests.")]
    created_at: Time
    expires_at: Time | None
    rotated_at: Time | None
    rotation_due: Annotated[Time, Schema(description="When the secret should be renewed.")]
    previous_until: Annotated[
        Time | None, Schema(description="Until when the former secret is accepted.")
    ]


class SignerAnswer(TypedDict):
    """A signer. Nothing of it is secret."""

    name: Annotated[
        str,
        Schema(
            pattern=KEY_NAME_PATTERN,
            description="The `keyid` of its signatures.",
            examples=["billing"],
        ),
    ]
    algorithm: Annotated[str, Schema(enum=["Ed25519", "ECDSA-P256", "ECDSA-P384"])]
    credentials: list[CredentialId]
    any_credential: bool
    state: Annotated[str, Schema(enum=["active", "revoked"])]
    created_at: Time
    public_key: Annotated[str, Schema(description="PEM, `PUBLIC KEY`.")]
    thumbprint: Annotated[
        str,
        Schema(
            pattern="^[0-9a-f]{64}$",
            description="The SHA-256 of the DER public key, in hexadecimal.",
        ),
    ]


def credential_shape(credential: Credential, rotation_days: int) -> CredentialAnswer:
    """The shape of a credential whose secret is due ``rotation_days`` after it was made."""
    due = time_text(credential.due_at(rotation_days))
    return shape(CredentialAnswer, credential, id=credential.credential_id, rotation_due=due)


def signer_shape(signer: Signer) -> SignerAnswer:
    """The shape of a signer."""
    return shape(
        SignerAnswer, signer, public_key=signer.pem(), thumbprint=signer.thumbprint().hex()
    )
