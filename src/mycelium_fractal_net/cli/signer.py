"""``mfn signer``: register, list, show and revoke public keys that may sign requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli.completion import credential_ids, signer_names
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.options import AsJson
from mycelium_fractal_net.cli.public_keys import public_key_input
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.terminal import columns, json_array, json_value, say
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.security.records.signers import Signer

__all__ = ["register"]

SignerName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A signer, by its name, which is the keyid of its signatures.",
        autocompletion=signer_names,
    ),
]


def register(group: typer.Typer) -> None:
    """Add the commands of this file to the group ``mfn signer``."""
    group.command("add")(_add)
    group.command("list")(_list)
    group.command("show")(_show)
    group.command("revoke")(_revoke)


def _add(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="1 to 64 of a-z 0-9 . _ -; the keyid of its signatures."
        ),
    ],
    public_key: Annotated[
        str,
        typer.Option(metavar="FILE", help="Its public key: PEM, DER or JWK; - is standard input."),
    ],
    credentials: Annotated[
        list[str] | None,
        typer.Option(
            "--credential",
            metavar="ID",
            help="A credential whose requests it signs, and which from then on works in no other;"
            " give it again for each.",
            autocompletion=credential_ids,
        ),
    ] = None,
    any_credential: Annotated[
        bool,
        typer.Option("--any-credential", help="It may sign for any credential, and binds none."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Register a public key that may sign requests, of the credentials that it names or of any."""
    session = session_of(context)
    if any_credential == bool(credentials):
        raise CommandError(
            ExitCode.USAGE,
            "a signer names its credentials, or signs for any",
            "give either --credential ID, once for each, or --any-credential",
        )
    content = public_key_input(public_key)
    with session.keyring() as keyring:
        added = keyring.provider.add_signer(
            name, content, credentials=tuple(credentials or ()), any_credential=any_credential
        )
    if as_json:
        json_value(shapes.signer_shape(added))
        return
    say(
        f"registered signer {added.name} ({added.algorithm}) for {_signs_for(added)};"
        f" thumbprint {added.thumbprint().hex()}",
        quiet=session.quiet,
    )
    for each in added.credentials:
        say(f"credential {each} works only in signed requests now", quiet=session.quiet)


def _signs_for(signer: Signer) -> str:
    return "any credential" if signer.any_credential else " ".join(signer.credentials)


def _list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the signers, revoked ones as well, in order of name."""
    session = session_of(context)
    with session.keyring() as keyring:
        found = keyring.provider.all_signers()
        if as_json:
            json_array(map(shapes.signer_shape, found))
        else:
            heads = ("NAME", "ALGORITHM", "STATE", "SIGNS FOR")
            columns(heads, map(_list_row, found))


def _list_row(signer: Signer) -> tuple[str, ...]:
    return (signer.name, signer.algorithm, signer.state.value, _signs_for(signer))


def _show(context: typer.Context, name: SignerName, as_json: AsJson = False) -> None:
    """Show one signer and its public key."""
    session = session_of(context)
    with session.keyring() as keyring:
        found = keyring.provider.signer(name)
    shape = shapes.signer_shape(found)
    if as_json:
        json_value(shape)
        return
    shown = {**shape, "credentials": " ".join(found.credentials) or "-"}
    shown["any_credential"] = "yes" if found.any_credential else "no"
    del shown["public_key"]
    for field, value in shown.items():
        say(f"{field:14} {value}")
    print(found.pem(), end="")


def _revoke(context: typer.Context, name: SignerName, as_json: AsJson = False) -> None:
    """End a signer for ever, everywhere within 5 seconds.

    A credential whose last signer it was works no more.
    """
    session = session_of(context)
    with session.keyring() as keyring:
        revoked = keyring.provider.revoke_signer(name)
    if as_json:
        json_value(shapes.signer_shape(revoked))
        return
    say(f"revoked: signer {revoked.name} ({_signs_for(revoked)})", quiet=session.quiet)
