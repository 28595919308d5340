"""A signer as it is shown. Nothing of it is secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typing_extensions import TypedDict

from mycelium_fractal_net.shapes.members import KEY_NAME_PATTERN, CredentialId, Schema, Time
from mycelium_fractal_net.shapes.times import time_text

if TYPE_CHECKING:
    from mycelium_fractal_net.security.records.signers import Signer


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


def signer_shape(signer: Signer) -> SignerAnswer:
    """The shape of a signer."""
    return {
        "name": signer.name,
        "algorithm": signer.algorithm,
        "credentials": list(signer.credentials),
        "any_credential": signer.any_credential,
        "state": signer.state.value,
        "created_at": time_text(signer.created_at),
        "public_key": signer.pem(),
        "thumbprint": signer.thumbprint().hex(),
    }
