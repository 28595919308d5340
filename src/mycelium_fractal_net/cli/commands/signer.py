"""``mfn signer``: register, list, show and revoke public keys that may sign requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli import options
from mycelium_fractal_net.cli.completion import credential_ids, signer_names
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import read_public_key
from mycelium_fractal_net.cli.parsing import CommandGroup
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.security.records.signers import Signer

_signer_name = click.argument(
    "name",
    metavar="NAME",
    help="A signer, by its name, which is the keyid of its signatures.",
    shell_complete=signer_names,
)

signer = CommandGroup("signer", help="Register public keys that may sign requests.")


@signer.add("add")
@click.argument(
    "name", metavar="NAME", help="1 to 64 of a-z 0-9 . _ -; the keyid of its signatures."
)
@click.option(
    "--public-key",
    required=True,
    metavar="FILE",
    help="Its public key: PEM, DER or JWK; - is standard input.",
)
@click.option(
    "--credential",
    "credentials",
    multiple=True,
    metavar="ID",
    help="A credential whose requests it signs, and which from then on works in no other;"
    " give it again for each.",
    shell_complete=credential_ids,
)
@click.option(
    "--any-credential", is_flag=True, help="It may sign for any credential, and binds none."
)
def _add(
    invocation: Invocation,
    name: str,
    public_key: str,
    credentials: tuple[str, ...],
    any_credential: bool,
) -> None:
    """Register a public key that may sign requests, of the credentials that it names or of any."""
    if any_credential == bool(credentials):
        raise CommandError(
            ExitCode.USAGE,
            "a signer names its credentials, or signs for any",
            "give either --credential ID, once for each, or --any-credential",
        )
    content = read_public_key(public_key)
    with invocation.keyring() as keyring:
        added = keyring.provider.signers.add(
            name, content, credentials=credentials, any_credential=any_credential
        )
    invocation.answer(
        shapes.signer_shape(added),
        f"registered signer {added.name} ({added.algorithm}) for {_signs_for(added)};"
        f" thumbprint {added.thumbprint().hex()}",
        *(f"credential {each} works only in signed requests now" for each in added.credentials),
    )


def _signs_for(signer: Signer) -> str:
    return "any credential" if signer.any_credential else " ".join(signer.credentials)


@signer.add("list")
def _list(invocation: Invocation) -> None:
    """List the signers, revoked ones as well, in order of name."""
    with invocation.keyring() as keyring:
        found = keyring.provider.signers
        heads = "NAME, ALGORITHM, STATE, SIGNS FOR"
        invocation.answer_records(found, shapes.signer_shape, heads, _list_row)


def _list_row(signer: Signer) -> tuple[str, ...]:
    return (signer.name, signer.algorithm, signer.state.value, _signs_for(signer))


@signer.add("show")
@_signer_name
def _show(invocation: Invocation, name: str) -> None:
    """Show one signer and its public key."""
    with invocation.keyring() as keyring:
        found = keyring.provider.signers.get(name)
    invocation.answer_fields(
        shapes.signer_shape(found),
        credentials=" ".join(found.credentials) or "-",
        any_credential="yes" if found.any_credential else "no",
        public_key="",
    )
    if not invocation.json:
        print(found.pem(), end="")


@signer.add("revoke")
@_signer_name
@options.yes
def _revoke(invocation: Invocation, name: str) -> None:
    """End a signer for ever, everywhere within 5 seconds.

    A credential whose last signer it was works no more.
    """
    invocation.confirm(f"signer {name} ends for ever")
    with invocation.keyring() as keyring:
        revoked = keyring.provider.signers.revoke(name)
    said = f"revoked: signer {revoked.name} ({_signs_for(revoked)})"
    invocation.answer(shapes.signer_shape(revoked), said)
