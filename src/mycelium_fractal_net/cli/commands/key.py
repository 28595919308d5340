"""``mfn key``: make, list, show and rotate keys, and set what holds for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli import options
from mycelium_fractal_net.cli.commands.key_states import state_commands
from mycelium_fractal_net.cli.commands.key_transport import key_export, key_import
from mycelium_fractal_net.cli.completion import version_names
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.numbers import WHOLE
from mycelium_fractal_net.cli.options import PATH
from mycelium_fractal_net.cli.parsing import CommandGroup
from mycelium_fractal_net.cli.terminal import columns, json_value, say
from mycelium_fractal_net.security.errors import KeyUsageError
from mycelium_fractal_net.security.records.keys import (
    NEVER_AUTOMATIC,
    Key,
    KeyOrigin,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    version_id,
)

_MADE_BY_NAME: Final = tuple(each for each in KeyType if each is not KeyType.API)

key = CommandGroup("key", help="Make, list and change keys.")


@key.add("create")
@click.argument("name", metavar="KEY", help="1 to 64 of a-z 0-9 . _ - for the new key.")
@click.option(
    "--type",
    "-t",
    "key_type",
    type=click.Choice([each.value for each in _MADE_BY_NAME]),
    default=KeyType.ENCRYPTION.value,
    help="What the key is for.",
)
@click.option(
    "--algorithm", metavar="NAME", help="For signing: Ed25519, ECDSA-P256, ECDSA-P384 or ML-DSA-65."
)
@click.option(
    "--use",
    type=click.Choice([each.value for each in KeyUse]),
    default=KeyUse.DATA.value,
    help="What a signing key signs; it is fixed for ever.",
)
@click.option("--publish", is_flag=True, help="List its public keys for everybody.")
@click.option("--exportable", is_flag=True, help="Let it be exported later; fixed for ever.")
@click.option(
    "--external",
    is_flag=True,
    help="For signing: have Vault, AWS KMS or the HSM generate and keep its private keys.",
)
def _create(
    invocation: Invocation,
    name: str,
    key_type: str,
    algorithm: str | None,
    use: str,
    publish: bool,
    exportable: bool,
    external: bool,
) -> None:
    """Make a key with its first version, active at once."""
    with invocation.keyring() as keyring:
        key = keyring.provider.keys.create(
            name,
            key_type,
            algorithm=algorithm,
            use=use,
            publish=publish,
            exportable=exportable,
            external=external,
        )
    waits = key.latest.state is KeyState.PRE_ACTIVATION
    backed = "; it protects once a backup holds it: mfn backup FILE" if waits else ""
    external_key = "external " if key.is_external else ""
    said = f"made {external_key}{key.key_type} key {key.key_id} ({key.algorithm}){backed}"
    if key.key_type is KeyType.MAC:
        said += (
            f"; it rotates every {key.rotation.interval_days} days, after which a value has"
            " another MAC: what is to be found by a stored one needs a key that does not"
        )
    invocation.answer(shapes.key_shape(key), said)


@key.add("list")
def _list(invocation: Invocation) -> None:
    """List the keys, in order of name."""
    with invocation.keyring() as keyring:
        keys = keyring.provider.keys
        heads = "KEY, TYPE, ALGORITHM, NEWEST, STATE, ROTATION DUE"
        invocation.answer_records(keys, shapes.key_shape, heads, _list_row)


def _list_row(key: Key) -> tuple[str, ...]:
    return (
        key.key_id,
        key.key_type.value,
        f"{key.algorithm}, external" if key.is_external else key.algorithm,
        f"v{key.latest.version}",
        key.latest.state.value,
        "-" if _never_due(key) else key.rotation_due.date().isoformat(),
    )


def _never_due(key: Key) -> bool:
    return key.is_legacy or key.key_type in NEVER_AUTOMATIC


@key.add("show")
@options.key_name
def _show(invocation: Invocation, name: str) -> None:
    """Show one key, its rotation policy and every version of it."""
    with invocation.keyring() as keyring:
        key = keyring.provider.keys.get(name)
    if invocation.json:
        invocation.answer(shapes.key_shape(key))
        return
    use = f" for {key.use}" if key.key_type is KeyType.SIGNING else ""
    say(f"key        {key.key_id}")
    marks = ", external" * key.is_external + ", published" * key.publish
    marks += ", exportable" * key.exportable
    say(f"type       {key.key_type}{use}, {key.algorithm}{marks}")
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
    if key.key_type in NEVER_AUTOMATIC:
        say("rotation   by hand alone, and every version is kept: what is stored is swept first")
        return
    destroys = "destroys unused ones" if rotation.auto_destroy else "destroys none unasked"
    by_hand = "by hand, asked for every" if not rotation.automatic else "every"
    say(
        f"rotation   {by_hand} {rotation.interval_days} days, due"
        f" {key.rotation_due.date()}; keeps {rotation.retain_count} versions, {destroys}"
    )
    minimum = key.minimum_versions
    protects = "with nothing" if key.primary_or_none is None else f"with v{minimum.encrypt}"
    say(
        f"versions   v{minimum.available} to v{minimum.latest}; decrypts and verifies from"
        f" v{minimum.decrypt}, protects {protects}"
    )


def _notes(version: KeyVersion) -> Iterator[str]:
    if version.origin is KeyOrigin.IMPORTED:
        yield "imported"
    if version.compromised:
        yield "was compromised"
    if version.activate_at is not None:
        yield f"activated at {shapes.time_text(version.activate_at)}"
    if version.destroy_at is not None:
        yield f"erased at {shapes.time_text(version.destroy_at)}"
    if version.external is not None:
        gone_at = version.external_gone_at
        gone = "" if gone_at is None else f", gone since {shapes.time_text(gone_at)}"
        yield f"kept as {version.external}{gone}"


@key.add("rotate")
@options.key_name
@click.option(
    "--activate-at",
    metavar="TIME",
    help="Have it protect from then on, such as 2027-01-01 or 2027-01-01T12:00:00Z;"
    " a scheduler sees to it.",
)
def _rotate(invocation: Invocation, name: str, activate_at: str | None) -> None:
    """Add a version that protects from now on; what older ones sealed still opens."""
    begins = None if activate_at is None else shapes.parse_timestamp(activate_at)
    with invocation.keyring() as keyring:
        newest = keyring.provider.rotate_key(name, activate_at=begins)
        key = keyring.provider.keys.get(newest)
    waits = key.latest.state is KeyState.PRE_ACTIVATION
    since = "now on" if begins is None else str(shapes.time_text(begins))
    backed = ", once a backup holds it" if waits and begins is None else ""
    said = f"rotated: {newest} protects from {since}{backed}"
    if key.waits_for_sweep(key.latest):
        said = (
            f"rotated: {newest} is searched from now on; once what is stored was swept:"
            f" mfn key activate {newest}"
        )
    invocation.answer(shapes.key_shape(key), said)


@key.add("policy")
@options.key_name
@click.option("--interval-days", metavar="DAYS", type=WHOLE, help="Rotate after so many days.")
@click.option("--retain", "retain_count", metavar="N", type=WHOLE, help="Keep so many versions.")
@click.option(
    "--auto-destroy/--no-auto-destroy",
    default=None,
    help="Destroy versions past --retain that nothing has used for --unused-for-days.",
)
@click.option("--unused-for-days", metavar="DAYS", type=WHOLE, help="At least 400.")
@click.option(
    "--publish/--no-publish", default=None, help="List its public keys for everybody, or stop."
)
def _policy(
    invocation: Invocation,
    name: str,
    interval_days: int | None,
    retain_count: int | None,
    auto_destroy: bool | None,
    unused_for_days: int | None,
    publish: bool | None,
) -> None:
    """Show or change how a key is rotated, how many versions are kept, and who sees them."""
    wanted: dict[str, Any] = {
        "interval_days": interval_days,
        "retain_count": retain_count,
        "auto_destroy": auto_destroy,
        "unused_for_days": unused_for_days,
    }
    changes = {field: value for field, value in wanted.items() if value is not None}
    with invocation.keyring() as keyring:
        key = keyring.provider.keys.get(name)
        if changes:
            # The record checks its bounds, whatever the options said.
            key = keyring.provider.keys.set_rotation(
                name, dataclasses.replace(key.rotation, **changes)
            )
        if publish is not None:
            key = keyring.provider.keys.set_publish(name, publish)
    shape = {**shapes.rotation_shape(key.rotation), "publish": key.publish}
    words = {field: str(value).lower() for field, value in shape.items()}
    invocation.answer_fields({"key_id": key.key_id, **shape}, **words)


@key.add("public")
@click.argument(
    "name", metavar="KEY", help="A signing key or a version of it.", shell_complete=version_names
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["pem", "jwk"]),
    default="pem",
    help="PEM, or a JWK with its kid.",
)
def _public(invocation: Invocation, name: str, form: str) -> None:
    """Print the public key of a signing key: of the version named, or the newest."""
    with invocation.keyring() as keyring:
        key = keyring.provider.keys.get(name)
        version = shapes.version_meant(key, name)
        if version.public_key is None:
            raise KeyUsageError(f"key {key.key_id!r} is for {key.key_type}: it has no public key")
        public = keyring.policy.verifying_key(version.public_key)
        if form == "pem" and not invocation.json:
            print(public.pem().decode(), end="")
        else:
            json_value({**public.jwk(), "kid": version_id(key.key_id, version.version)})


for _command in state_commands():
    key.add_command(_command)
key.add_command(key_import)
key.add_command(key_export)


@key.add("import-xor")
@click.argument(
    "path",
    metavar="FILE",
    type=PATH,
    help="The old master key: 32 bytes, or in hex or urlsafe base64.",
)
def _import_xor(invocation: Invocation, path: Path) -> None:
    """Take over the XOR cipher's master key, as the key legacy-xor, which only opens."""
    from mycelium_fractal_net.legacy.key import import_xor_key, read_xor_key

    material = read_xor_key(path)
    with invocation.keyring() as keyring:
        key = import_xor_key(keyring.provider, material)
    said = f"imported key {key.key_id}: it opens what the XOR cipher wrote"
    invocation.answer(shapes.key_shape(key), said)
