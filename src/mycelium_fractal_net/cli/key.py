"""``mfn key``: make, list, show and rotate keys, and set what holds for them."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli.completion import key_names
from mycelium_fractal_net.cli.options import AsJson
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.terminal import columns, json_array, json_value, say
from mycelium_fractal_net.security.errors import KeyUsageError
from mycelium_fractal_net.security.records.keys import KeyState, KeyType, KeyUse, version_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.records.keys import Key, KeyVersion

__all__ = ["KeyName", "register"]

KeyName = Annotated[
    str,
    typer.Argument(metavar="KEY", help="A key, such as orders.", autocompletion=key_names),
]


class NamedKeyType(StrEnum):
    """The types of key that are made by name."""

    ENCRYPTION = KeyType.ENCRYPTION.value
    SIGNING = KeyType.SIGNING.value
    MAC = KeyType.MAC.value


class PublicFormat(StrEnum):
    """How a public key is printed."""

    PEM = "pem"
    JWK = "jwk"


def register(group: typer.Typer) -> None:
    """Add the commands of this file to the group ``mfn key``."""
    group.command("create")(_create)
    group.command("list")(_list)
    group.command("show")(_show)
    group.command("rotate")(_rotate)
    group.command("policy")(_policy)
    group.command("public")(_public)


def _create(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="KEY", help="1 to 64 of a-z 0-9 . _ - for the new key.")
    ],
    key_type: Annotated[
        NamedKeyType, typer.Option("--type", "-t", help="What the key is for.")
    ] = NamedKeyType.ENCRYPTION,
    algorithm: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="For signing: Ed25519, ECDSA-P256, ECDSA-P384 or ML-DSA-65.",
        ),
    ] = None,
    use: Annotated[
        KeyUse, typer.Option(help="What a signing key signs; it is fixed for ever.")
    ] = KeyUse.DATA,
    publish: Annotated[
        bool, typer.Option("--publish", help="List its public keys for everybody.")
    ] = False,
) -> None:
    """Make a key with its first version, active at once."""
    session = session_of(context)
    with session.keyring() as keyring:
        key = keyring.provider.keys.create(
            name, key_type.value, algorithm=algorithm, use=use.value, publish=publish
        )
    waits = key.latest.state is KeyState.PRE_ACTIVATION
    backed = "; it protects once a backup holds it: mfn backup FILE" if waits else ""
    say(f"made {key.key_type} key {key.key_id} ({key.algorithm}){backed}", quiet=session.quiet)


def _list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the keys, in order of name."""
    with session_of(context).keyring() as keyring:
        keys = keyring.provider.keys.all()
        if as_json:
            json_array(shapes.key_shape(key) for key in keys)
        else:
            heads = ("KEY", "TYPE", "ALGORITHM", "NEWEST", "STATE", "ROTATION DUE")
            columns(heads, (_list_row(key) for key in keys))


def _list_row(key: Key) -> tuple[str, ...]:
    return (
        key.key_id,
        key.key_type.value,
        key.algorithm,
        f"v{key.latest.version}",
        key.latest.state.value,
        "-" if key.is_legacy else key.rotation_due.date().isoformat(),
    )


def _show(context: typer.Context, name: KeyName, as_json: AsJson = False) -> None:
    """Show one key, its rotation policy and every version of it."""
    with session_of(context).keyring() as keyring:
        key = keyring.provider.keys.get(name)
    if as_json:
        json_value(shapes.key_shape(key))
        return
    use = f" for {key.use}" if key.key_type is KeyType.SIGNING else ""
    say(f"key        {key.key_id}")
    say(f"type       {key.key_type}{use}, {key.algorithm}{', published' if key.publish else ''}")
    say(f"protects   {shapes.primary_id(key) or 'nothing'}")
    if not key.is_legacy:  # which has one version, and protects nothing
        _say_rotation(key)
    print()
    columns(
        ("VERSION", "STATE", "CREATED", "NOTE"),
        (
            (
                version_id(key.key_id, version.version),
                version.state.value,
                version.created_at.date().isoformat(),
                "; ".join(_notes(version)),
            )
            for version in key.versions
        ),
    )


def _say_rotation(key: Key) -> None:
    rotation = key.rotation
    destroys = "destroys unused ones" if rotation.auto_destroy else "destroys none unasked"
    by_hand = "by hand, asked for every" if not rotation.automatic else "every"
    say(
        f"rotation   {by_hand} {rotation.interval_days} days, due"
        f" {key.rotation_due.date()}; keeps {rotation.retain_count} versions, {destroys}"
    )
    available, decrypt, encrypt, latest = key.floors
    say(
        f"floors     there from v{available}, opens from v{decrypt}, protects with v{encrypt}"
        f" of v{latest}"
    )


def _notes(version: KeyVersion) -> Iterator[str]:
    if version.compromised:
        yield "was compromised"
    if version.activate_at is not None:
        yield f"activated at {shapes.time_text(version.activate_at)}"
    if version.destroy_at is not None:
        yield f"erased at {shapes.time_text(version.destroy_at)}"


def _rotate(
    context: typer.Context,
    name: KeyName,
    activate_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Have it protect from then on, such as 2027-01-01 or 2027-01-01T12:00:00Z;"
            " a scheduler sees to it.",
        ),
    ] = None,
) -> None:
    """Add a version that protects from now on; what older ones sealed still opens."""
    session = session_of(context)
    begins = None if activate_at is None else shapes.moment_of(activate_at)
    with session.keyring() as keyring:
        newest = keyring.provider.rotate_key(name, activate_at=begins)
        waits = keyring.provider.keys.get(newest).latest.state is KeyState.PRE_ACTIVATION
    since = "now on" if begins is None else str(shapes.time_text(begins))
    backed = ", once a backup holds it" if waits and begins is None else ""
    say(f"rotated: {newest} protects from {since}{backed}", quiet=session.quiet)


def _policy(
    context: typer.Context,
    name: KeyName,
    interval_days: Annotated[
        int | None, typer.Option(metavar="DAYS", help="Rotate after so many days.")
    ] = None,
    retain_count: Annotated[
        int | None, typer.Option("--retain", metavar="N", help="Keep so many versions.")
    ] = None,
    auto_destroy: Annotated[
        bool | None,
        typer.Option(
            "--auto-destroy/--no-auto-destroy",
            help="Destroy versions past --retain that nothing has used for --unused-for-days.",
        ),
    ] = None,
    unused_for_days: Annotated[
        int | None, typer.Option(metavar="DAYS", help="At least 400.")
    ] = None,
    publish: Annotated[
        bool | None,
        typer.Option("--publish/--no-publish", help="List its public keys for everybody, or stop."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show or change how a key is rotated, how many versions are kept, and who sees them."""
    session = session_of(context)
    wanted: dict[str, Any] = {
        "interval_days": interval_days,
        "retain_count": retain_count,
        "auto_destroy": auto_destroy,
        "unused_for_days": unused_for_days,
    }
    changes = {field: value for field, value in wanted.items() if value is not None}
    with session.keyring() as keyring:
        key = keyring.provider.keys.get(name)
        if changes:
            # The record checks its bounds, whatever the options said.
            key = keyring.provider.keys.set_rotation(
                name, dataclasses.replace(key.rotation, **changes)
            )
        if publish is not None:
            key = keyring.provider.keys.set_publish(name, publish)
    shape = {**shapes.rotation_shape(key.rotation), "publish": key.publish}
    if as_json:
        json_value({"key_id": key.key_id, **shape})
        return
    for field, value in shape.items():
        say(f"{field:16} {json.dumps(value)}")


def _public(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="A signing key or a version of it.", autocompletion=key_names
        ),
    ],
    form: Annotated[
        PublicFormat, typer.Option("--format", help="PEM, or a JWK with its kid.")
    ] = PublicFormat.PEM,
) -> None:
    """Print the public key of a signing key: of the version named, or the newest."""
    with session_of(context).keyring() as keyring:
        key = keyring.provider.keys.get(name)
        version = shapes.version_meant(key, name)
        if version.public_key is None:
            raise KeyUsageError(f"key {key.key_id!r} is for {key.key_type}: it has no public key")
        public = keyring.policy.verifying_key(version.public_key)
        if form is PublicFormat.PEM:
            print(public.pem().decode(), end="")
        else:
            json_value({**public.jwk(), "kid": version_id(key.key_id, version.version)})
