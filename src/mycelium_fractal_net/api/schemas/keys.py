"""The routes of keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import Model, Moment

__all__ = [
    "ChangeKeyRequest",
    "CreateKeyRequest",
    "JwkSet",
    "KeyAnswer",
    "KeyList",
    "KeyQuery",
    "PublicKey",
    "Rotation",
    "RotationChange",
    "StateRequest",
    "VersionAnswer",
]

_Days = Annotated[int, Field(ge=1, le=36_500)]
_Versions = Annotated[int, Field(ge=1, le=10_000)]
_Unused = Annotated[int, Field(ge=400, le=36_500)]
KEY_NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class RotationChange(Model):
    """What to change of a rotation policy; what is absent stays as it is."""

    interval_days: _Days | None = None
    retain_count: _Versions | None = None
    auto_destroy: bool | None = None
    unused_for_days: _Unused | None = None


class CreateKeyRequest(Model):
    """A key to be made."""

    key_id: Annotated[str, Field(pattern=KEY_NAME_PATTERN, examples=["orders"])]
    type: Literal["encryption", "signing", "mac"] = "encryption"
    algorithm: Annotated[
        Literal["AES-256-GCM", "Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65", "HMAC-SHA-256"]
        | None,
        Field(description="One that the type takes; its first where none is named."),
    ] = None
    use: Annotated[
        Literal["data", "request"], Field(description="Of a signing key, fixed for ever.")
    ] = "data"
    publish: Annotated[
        bool, Field(description="List the public keys of a signing key in the JWKS.")
    ] = False
    rotation: RotationChange | None = None


class ChangeKeyRequest(Model):
    """What to change of a key; what is absent stays as it is."""

    rotation: RotationChange | None = None
    publish: bool | None = None


class StateRequest(Model):
    """How to change the state of a version."""

    window_days: Annotated[
        int | None,
        Field(
            ge=7,
            le=365,
            description="Of `destroy` alone: days in which it can be cancelled, 30 by default.",
        ),
    ] = None


class KeyQuery(Model):
    """A page of the list."""

    after: Annotated[
        str, Field(max_length=64, description="List what sorts after this key id.")
    ] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Rotation(Model):
    """A rotation policy: days and counts."""

    interval_days: int
    retain_count: int
    auto_destroy: bool
    unused_for_days: int


class VersionAnswer(Model):
    """One version of a key."""

    version_id: str
    version: int
    state: Literal[
        "pre-activation",
        "active",
        "suspended",
        "deactivated",
        "compromised",
        "pending-destruction",
        "destroyed",
    ]
    compromised: bool
    handle: str
    created_at: Moment
    activate_at: Moment | None
    destroy_at: Moment | None


class KeyAnswer(Model):
    """A key with all its versions, oldest first."""

    key_id: str
    type: Literal["encryption", "signing", "mac"]
    use: Literal["data", "request"]
    algorithm: str
    publish: bool
    created_at: Moment
    primary: Annotated[str | None, Field(description="The version that protects new data.")]
    rotation_due: Moment
    rotation: Rotation
    versions: list[VersionAnswer]


class KeyList(Model):
    """A page of keys in order of name; `next` is the `after` of the next page, if there is one."""

    keys: list[KeyAnswer]
    next: str | None


class PublicKey(Model):
    """A public key of one version."""

    key_id: str
    algorithm: str
    pem: str
    jwk: dict[str, Any]


class JwkSet(Model):
    """RFC 7517 section 5: the public keys of all keys that are published and may verify."""

    keys: list[dict[str, Any]]
