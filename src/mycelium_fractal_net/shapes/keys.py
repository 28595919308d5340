"""A key with its versions, as it is shown."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated

from typing_extensions import TypedDict

from mycelium_fractal_net.security.records.keys import (
    ALGORITHMS,
    KeyOrigin,
    KeyUse,
    parse_key_id,
    version_id,
)
from mycelium_fractal_net.shapes.json_values import shape
from mycelium_fractal_net.shapes.members import KeyName, Number, Schema, State, Time, VersionId

if TYPE_CHECKING:
    from mycelium_fractal_net.security.records.keys import Key, KeyVersion, RotationPolicy


class Rotation(TypedDict):
    """A rotation policy: days and counts."""

    interval_days: int
    retain_count: int
    auto_destroy: bool
    unused_for_days: int
    automatic: bool


class MinimumVersionsAnswer(TypedDict):
    """From which version on a key is there, opens and protects, and its newest; never crossing."""

    available: Number
    decrypt: Number
    encrypt: Number
    latest: Number


class VersionAnswer(TypedDict):
    """One version of a key."""

    version_id: VersionId
    version: Number
    state: State
    origin: Annotated[
        str,
        Schema(
            enum=[each.value for each in KeyOrigin],
            description="Whether its material was made here, or elsewhere and imported.",
        ),
    ]
    compromised: bool
    handle: Annotated[
        str, Schema(pattern="^[0-9a-f]{16}$", description="What a message names it by.")
    ]
    created_at: Time
    activate_at: Time | None
    destroy_at: Time | None
    external: Annotated[
        str | None,
        Schema(description="Where the private key of an external key is: SCHEME:REFERENCE."),
    ]
    external_gone_at: Annotated[
        Time | None, Schema(description="When that was destroyed there, or was given up.")
    ]


class KeyAnswer(TypedDict):
    """A key with all its versions, oldest first."""

    key_id: KeyName
    type: Annotated[str, Schema(enum=[kind.value for kind in ALGORITHMS])]
    use: Annotated[str, Schema(enum=[use.value for use in KeyUse])]
    algorithm: Annotated[str, Schema(enum=[*chain.from_iterable(ALGORITHMS.values())])]
    publish: bool
    exportable: Annotated[
        bool, Schema(description="Whether its versions may be wrapped for others; fixed for ever.")
    ]
    external: Annotated[
        bool, Schema(description="Whether its private keys never leave the custodian.")
    ]
    created_at: Time
    primary: Annotated[
        VersionId | None,
        Schema(description="The version that protects new data; null where none does."),
    ]
    rotation_due: Time
    rotation: Rotation
    minimum_versions: MinimumVersionsAnswer
    versions: list[VersionAnswer]


def key_shape(key: Key) -> KeyAnswer:
    """The shape of a key."""
    return shape(
        KeyAnswer,
        key,
        type=key.key_type,
        external=key.is_external,
        primary=primary_id(key),
        rotation=rotation_shape(key.rotation),
        minimum_versions=key.minimum_versions._asdict(),
        versions=[
            shape(
                VersionAnswer,
                each,
                version_id=version_id(key.key_id, each.version),
                origin=KeyOrigin.IMPORTED if key.is_legacy else each.origin,
            )
            for each in key.versions
        ],
    )


def rotation_shape(rotation: RotationPolicy) -> Rotation:
    """The shape of a rotation policy."""
    return shape(Rotation, rotation)


def primary_id(key: Key) -> str | None:
    """The version that protects new data, as ``orders:v3``; None where nothing does."""
    primary = key.primary_or_none
    return None if primary is None else version_id(key.key_id, primary.version)


def version_meant(key: Key, name: str) -> KeyVersion:
    """The version of ``key`` that ``name`` names; of a bare name the newest."""
    number = parse_key_id(name)[1]
    return key.latest if number is None else key.version(number)
