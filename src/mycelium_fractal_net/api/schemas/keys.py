"""The routes of keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from mycelium_fractal_net.api.schemas.base import (
    Model,
    PageQuery,
    Reason,
    Timestamp,
    VersionId,
    Warnings,
    examples,
    published,
)
from mycelium_fractal_net.api.schemas.crypto import Signature
from mycelium_fractal_net.security.records.keys import ALGORITHMS, NEVER_AUTOMATIC, KeyType
from mycelium_fractal_net.shapes.keys import (
    KeyAnswer,
    MinimumVersionsAnswer,
    Rotation,
    VersionAnswer,
)
from mycelium_fractal_net.shapes.members import KEY_NAME_PATTERN

_Days = Annotated[int, Field(ge=1, le=36_500)]
_Versions = Annotated[int, Field(ge=1, le=10_000)]
_Unused = Annotated[int, Field(ge=400, le=36_500)]
Algorithm = Literal[
    "AES-256-GCM",
    "Ed25519",
    "ECDSA-P256",
    "ECDSA-P384",
    "ML-DSA-65",
    "HMAC-SHA-256",
    "AES-256-SIV",
]
NamedType = Literal["encryption", "signing", "mac", "index", "deterministic"]

# What the members say together: which algorithms a type takes, and that only a signing key has
# a use, is published or external, and which are rotated by hand alone. The provider refuses the
# rest; the document says it here.
_NOT_SIGNING: dict[str, Any] = {
    "use": {"const": "data"},
    "publish": {"enum": [False]},
    "external": {"enum": [False]},
}
_BY_HAND: dict[str, Any] = {"rotation": {"properties": {"automatic": {"enum": [False, None]}}}}
_TOGETHER: list[dict[str, Any]] = [
    {
        "title": kind.value,
        "properties": {
            "type": {"const": kind.value},
            "algorithm": {"enum": [*algorithms, None]},
            **({} if kind is KeyType.SIGNING else _NOT_SIGNING),
            **(_BY_HAND if kind in NEVER_AUTOMATIC else {}),
        },
        # Without one it is an encryption key.
        **({} if kind is KeyType.ENCRYPTION else {"required": ["type"]}),
    }
    for kind, algorithms in ALGORITHMS.items()
]
_ROTATION: dict[str, Any] = {
    "interval_days": 90,
    "retain_count": 3,
    "auto_destroy": False,
    "unused_for_days": 400,
    "automatic": True,
}
_KEY: dict[str, Any] = {
    "key_id": "orders",
    "type": "encryption",
    "use": "data",
    "algorithm": "AES-256-GCM",
    "publish": False,
    "exportable": False,
    "external": False,
    "created_at": "2026-11-24T12:27:35Z",
    "primary": "orders:v1",
    "rotation_due": "2027-02-22T12:27:35Z",
    "rotation": _ROTATION,
    "minimum_versions": {"available": 1, "decrypt": 1, "encrypt": 1, "latest": 1},
    "versions": [
        {
            "version_id": "orders:v1",
            "version": 1,
            "state": "active",
            "origin": "generated",
            "compromised": False,
            "handle": "0c2af47757767c92",
            "created_at": "2026-11-24T12:27:35Z",
            "activate_at": None,
            "destroy_at": None,
            "external": None,
            "external_gone_at": None,
        }
    ],
}
_JWK: dict[str, Any] = {
    "kid": "release:v1",
    "kty": "OKP",
    "alg": "EdDSA",
    "use": "sig",
    "crv": "Ed25519",
    "x": "7YRr54a-qA1SlaJ4DYhzaTiGxSaxHWuXcsotZwWR6ik",
}
_PEM = (
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA7YRr54a+qA1SlaJ4DYhzaTiGxSaxHWuXcsotZwWR6ik=\n"
    "-----END PUBLIC KEY-----\n"
)


class RotationChange(Model):
    """What to change of a rotation policy; what is absent stays as it is."""

    interval_days: _Days | None = None
    retain_count: _Versions | None = None
    auto_destroy: bool | None = None
    unused_for_days: _Unused | None = None
    automatic: Annotated[
        bool | None,
        Field(description="Whether schedulers rotate it; by use it is rotated in any case."),
    ] = None


class CreateKeyRequest(Model):
    """A key to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [{"anyOf": _TOGETHER}],  # type: ignore[dict-item]
            "examples": [
                {"key_id": "orders"},
                {
                    "key_id": "release",
                    "type": "signing",
                    "algorithm": "Ed25519",
                    "publish": True,
                    "rotation": {"interval_days": 365},
                },
            ],
        }
    )

    key_id: Annotated[str, Field(pattern=KEY_NAME_PATTERN, examples=["orders"])]
    type: NamedType = "encryption"
    algorithm: Annotated[
        Algorithm | None,
        Field(description="One that the type takes; its first where none is named."),
    ] = None
    use: Annotated[
        Literal["data", "request"], Field(description="Of a signing key, fixed for ever.")
    ] = "data"
    publish: Annotated[
        bool, Field(description="List the public keys of a signing key in the JWKS.")
    ] = False
    exportable: Annotated[
        bool,
        Field(
            description="Whether its versions may be wrapped for others; fixed for ever. Leave it"
            " off unless the key is needed elsewhere."
        ),
    ] = False
    external: Annotated[
        bool,
        Field(
            description="Have the custodian of the master key make the private keys of a signing"
            " key, which then never leave it."
        ),
    ] = False
    rotation: RotationChange | None = None


class ChangeKeyRequest(Model):
    """What to change of a key; what is absent stays as it is."""

    model_config = examples({"rotation": {"interval_days": 30}})

    rotation: RotationChange | None = None
    publish: bool | None = None


class StateRequest(Model):
    """How a version is destroyed."""

    model_config = examples({"window_days": 30, "reason": "the archive of 2024 was deleted"})

    window_days: Annotated[
        int | None,
        Field(
            ge=7,
            le=365,
            description="Days in which it can be cancelled, 30 by default.",
        ),
    ] = None
    reason: Reason = None


class RotateRequest(Model):
    """When the new version begins to protect; at once by default."""

    model_config = examples({"activate_at": "2027-01-01T00:00:00Z"})

    activate_at: Annotated[
        Timestamp | None,
        Field(
            description="Until then the version waits, and a scheduler makes it active; at most"
            " 36,500 days from now."
        ),
    ] = None


class KeyQuery(PageQuery):
    """A page of the list."""

    after: Annotated[
        str,
        Field(
            pattern=f"^(?:{KEY_NAME_PATTERN[1:-1]})?$",
            description="List what sorts after this key id.",
        ),
    ] = ""


for _shape in (Rotation, MinimumVersionsAnswer, VersionAnswer):
    published(_shape)
published(KeyAnswer, _KEY)


class KeyList(Model):
    """A page of keys in order of name; `next` is the `after` of the next page, if there is one."""

    model_config = examples({"keys": [_KEY], "next": None})

    keys: list[KeyAnswer]
    next: str | None
    warnings: Warnings


class Jwk(Model):
    """A public key as RFC 7517 has it: OKP (RFC 8037), EC (RFC 7518) or AKP (RFC 9964)."""

    kid: VersionId
    kty: Literal["OKP", "EC", "AKP"]
    alg: Literal["EdDSA", "ES256", "ES384", "ML-DSA-65"]
    use: Literal["sig"]
    crv: Annotated[
        Literal["Ed25519", "P-256", "P-384"] | None, Field(description="Of OKP and EC.")
    ] = None
    x: Annotated[str | None, Field(description="Of OKP and EC.")] = None
    y: Annotated[str | None, Field(description="Of EC.")] = None
    pub: Annotated[str | None, Field(description="Of AKP.")] = None


class PublicKeyAnswer(Model):
    """A public key of one version."""

    model_config = examples(
        {"key_id": "release:v1", "algorithm": "Ed25519", "pem": _PEM, "jwk": _JWK}
    )

    key_id: VersionId
    algorithm: Signature
    pem: Annotated[str, Field(description="SubjectPublicKeyInfo, RFC 7468 section 13.")]
    jwk: Jwk


class JwkSet(Model):
    """RFC 7517 section 5: the public keys of all keys that are published and may verify."""

    model_config = examples({"keys": [_JWK]})

    keys: list[Jwk]
