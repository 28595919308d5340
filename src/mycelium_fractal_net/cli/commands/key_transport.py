"""``mfn key import`` and ``mfn key export``: keys brought along, and taken along."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli import options
from mycelium_fractal_net.cli.completion import import_ids, key_names, version_names
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import STANDARD, read_public_key, read_small
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.outputs import destination, output_stream
from mycelium_fractal_net.cli.parsing import CommandGroup, command
from mycelium_fractal_net.security.errors import ExitCode
from mycelium_fractal_net.security.records.imports import WRAP_METHODS
from mycelium_fractal_net.security.records.keys import KeyState, KeyType, KeyUse

if TYPE_CHECKING:
    from mycelium_fractal_net.security.records.imports import PendingImport

_output = click.option("--output", "-o", metavar="PATH", help="Where to; - is standard output.")

key_import = CommandGroup("import", help="Bring a key along that was made elsewhere.")


@key_import.add("begin")
@click.argument("name", metavar="[KEY]", required=False, help="The name of the new key.")
@click.option(
    "--into",
    metavar="KEY",
    help="Make it the next version of that key, instead of a new key.",
    shell_complete=key_names,
)
@click.option(
    "--type",
    "-t",
    "key_type",
    type=click.Choice([each.value for each in KeyType if each is not KeyType.API]),
    help="What the key is for [encryption].",
)
@click.option(
    "--algorithm", metavar="NAME", help="For signing: Ed25519, ECDSA-P256, ECDSA-P384 or ML-DSA-65."
)
@click.option(
    "--use",
    type=click.Choice([each.value for each in KeyUse]),
    help="What a signing key signs; it is fixed for ever [data].",
)
@click.option("--publish", is_flag=True, help="List its public keys for everybody.")
@click.option("--exportable", is_flag=True, help="Let it be exported later; fixed for ever.")
@click.option(
    "--method",
    type=click.Choice(WRAP_METHODS),
    help="How the key is wrapped: RSA-OAEP and AES key wrap, or HPKE with X25519, P-256 or P-384;"
    " FIPS mode has no X25519 [the first that is allowed].",
)
@_output
@options.force
def _begin(
    invocation: Invocation,
    name: str | None,
    into: str | None,
    output: str | None,
    force: bool,
    **asked: Any,
) -> None:
    """Make a one-time public key to wrap a key for, elsewhere and within the hour."""
    key_id = into if name is None else name
    if key_id is None or (name is not None and into is not None):
        raise CommandError(
            ExitCode.USAGE,
            "a key is imported under a new name, or into a key that is there",
            "give either KEY or --into KEY",
        )
    target = destination(STANDARD, output)
    with (
        nullcontext() if target is None else output_stream(target, force=force) as writer,
        invocation.keyring() as keyring,
    ):
        pending = keyring.provider.imports.begin(key_id, existing=into is not None, **asked)
        if writer is not None:
            writer.write(pending.pem().encode())
    where = "the public key below" if target is None else str(target)
    invocation.answer(
        shapes.import_shape(pending, pending.created_at),
        f"import {pending.import_id}: wrap the key for {where} ({pending.method}) until"
        f" {shapes.time_text(pending.expires_at)}; then: mfn key import finish"
        f" {pending.import_id} FILE",
    )
    if target is None and not invocation.json:
        print(pending.pem(), end="")


_import = click.argument(
    "import_id",
    metavar="IMPORT",
    help="What mfn key import begin named it.",
    shell_complete=import_ids,
)


@key_import.add("list")
def _list(invocation: Invocation) -> None:
    """List the imports that wait for their key, and what is left of those that have expired."""
    with invocation.keyring() as keyring:
        imports = keyring.provider.imports
        now = imports.clock()

        def row(pending: PendingImport) -> tuple[str, ...]:
            until = str(shapes.time_text(pending.expires_at))
            state = pending.state(now).value
            return (
                pending.import_id, pending.key_id, pending.algorithm, pending.method, state, until,
            )  # fmt: skip

        heads = "IMPORT, KEY, ALGORITHM, METHOD, STATE, UNTIL"
        shape = partial(shapes.import_shape, now=now)
        invocation.answer_records(imports, shape, heads, row)


@key_import.add("show")
@_import
def _show(invocation: Invocation, import_id: str) -> None:
    """Show an import and the public key to wrap for."""
    with invocation.keyring() as keyring:
        imports = keyring.provider.imports
        pending = imports.get(import_id)
        shown = shapes.import_shape(pending, imports.clock())
    invocation.answer_fields(
        shown,
        existing="yes" if pending.existing else "no",
        exportable="yes" if pending.exportable else "no",
        public_key="",
    )
    if not invocation.json:
        print(pending.pem(), end="")


@key_import.add("cancel")
@_import
def _cancel(invocation: Invocation, import_id: str) -> None:
    """End an import for good: what was wrapped for it is opened by nobody."""
    with invocation.keyring() as keyring:
        keyring.provider.imports.cancel(import_id)
    invocation.answer(shapes.cancelled_shape(import_id), f"cancelled: import {import_id}")


@key_import.add("finish")
@_import
@click.argument("file", metavar="FILE", help="The wrapped key; - is standard input.")
def _finish(invocation: Invocation, import_id: str, file: str) -> None:
    """Take in the wrapped key. An import is used once, also by what is no key."""
    from mycelium_fractal_net.security.key_providers.imports import MAX_WRAPPED_BYTES

    wrapped = read_small(file, MAX_WRAPPED_BYTES, "a wrapped key")
    with invocation.keyring() as keyring:
        key = keyring.provider.imports.finish(import_id, wrapped)
    waits = key.latest.state is KeyState.PRE_ACTIVATION
    backed = "; it protects once a backup holds it: mfn backup FILE" if waits else ""
    said = f"imported {key.key_id}:v{key.latest.version} ({key.algorithm}){backed}"
    invocation.answer(shapes.key_shape(key), said)


@command("export")
@click.argument(
    "name",
    metavar="KEY",
    help="An exportable key or a version of it.",
    shell_complete=version_names,
)
@click.option(
    "--to",
    "public_key",
    required=True,
    metavar="FILE",
    help="For whom: an RSA, X25519, P-256 or P-384 public key, PEM or DER; - is standard input.",
)
@click.option(
    "--method", type=click.Choice(WRAP_METHODS), help="That of the public key; others are refused."
)
@_output
@options.force
def key_export(
    invocation: Invocation,
    name: str,
    public_key: str,
    method: str | None,
    output: str | None,
    force: bool,
) -> None:
    """Wrap a version of an exportable key for somebody's public key."""
    target = destination(STANDARD, output)
    recipient = read_public_key(public_key)
    shown = target is None and invocation.json
    with (
        nullcontext() if shown else output_stream(target, force=force) as writer,
        invocation.keyring() as keyring,
    ):
        exported = keyring.provider.exports.wrap_for(recipient, name, method)
        if writer is not None:
            writer.write(exported.wrapped)
    if target is not None or invocation.json:
        said = f"{target}: {exported.key_id} ({exported.algorithm}), wrapped by {exported.method}"
        invocation.answer(shapes.export_shape(exported), said)
