"""``mfn credential``: make, list, show, rotate and revoke API keys of the service."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli import options
from mycelium_fractal_net.cli.completion import credential_ids
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.numbers import WholeNumber
from mycelium_fractal_net.cli.parsing import CommandGroup
from mycelium_fractal_net.cli.terminal import complain
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.security.records.api_keys import ApiKey
    from mycelium_fractal_net.security.records.credentials import Credential

_ID: Final = "A credential, by the 16 characters of its id."
_credential_id = click.argument(
    "credential_id", metavar="ID", help=_ID, shell_complete=credential_ids
)

credential = CommandGroup("credential", help="Make, list and change API keys of the service.")


@credential.add("create")
@click.argument("name", metavar="NAME", help="What people call it; printable ASCII.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    metavar="SCOPE",
    help="What it may do, such as encrypt:orders, decrypt:* or keys:read; give it again for each.",
)
@click.option(
    "--expires-days",
    metavar="DAYS",
    type=WholeNumber(1, 36500),
    help="When it ends; by default it does not.",
)
@click.option(
    "--bound",
    is_flag=True,
    help="It works only in signed requests, and not before it has a signer: mfn signer add.",
)
def _create(
    invocation: Invocation,
    name: str,
    scopes: tuple[str, ...],
    expires_days: int | None,
    bound: bool,
) -> None:
    """Make a credential and print its API key, which is shown this once."""
    with invocation.keyring() as keyring:
        provider = keyring.provider
        end = None if expires_days is None else provider.clock() + timedelta(days=expires_days)
        made, key = provider.credentials.create(name, scopes, expires_at=end, bound=bound)
        warnings = provider.keys.warnings_of(scopes)
    said = f"made credential {made.credential_id} ({made.name}); its API key is shown this once:"
    for each in warnings:
        complain(each)
    _hand_over(invocation, made, key, said)


def _hand_over(invocation: Invocation, credential: Credential, key: ApiKey, said: str) -> None:
    shape = _shape(invocation, credential)
    invocation.answer({"id": shape["id"], "api_key": key.text, **shape}, said)
    if not invocation.json:
        print(key.text)


def _shape(invocation: Invocation, credential: Credential) -> shapes.CredentialAnswer:
    return shapes.credential_shape(credential, invocation.settings().credentials.rotation_days)


@credential.add("list")
def _list(invocation: Invocation) -> None:
    """List the credentials, revoked ones as well, in order of id."""
    rotation_days = invocation.settings().credentials.rotation_days
    with invocation.keyring() as keyring:
        found = keyring.provider.credentials
        invocation.answer_records(
            found,
            lambda each: shapes.credential_shape(each, rotation_days),
            "ID, NAME, STATE, ROTATION DUE, ENDS, SCOPES",
            lambda each: _list_row(each, rotation_days),
        )


def _list_row(credential: Credential, rotation_days: int) -> tuple[str, ...]:
    end = credential.expires_at
    return (
        credential.credential_id,
        credential.name,
        credential.state.value,
        credential.due_at(rotation_days).date().isoformat(),
        "never" if end is None else end.date().isoformat(),
        " ".join(credential.scopes),
    )


@credential.add("show")
@_credential_id
def _show(invocation: Invocation, credential_id: str) -> None:
    """Show one credential; its secret is stored nowhere."""
    with invocation.keyring() as keyring:
        found = keyring.provider.credentials.get(credential_id)
    invocation.answer_fields(_shape(invocation, found), scopes=" ".join(found.scopes))


@credential.add("rotate")
@_credential_id
@click.option(
    "--revoke-previous", is_flag=True, help="End the former secret at once, not one overlap later."
)
@options.yes
def _rotate(invocation: Invocation, credential_id: str, revoke_previous: bool) -> None:
    """Give a credential a new secret and print its API key, which is shown this once."""
    if revoke_previous:
        invocation.confirm(f"the secret that {credential_id} has now ends at once")
    overlap = timedelta(days=invocation.settings().credentials.overlap_days)
    with invocation.keyring() as keyring:
        rotated, key = keyring.provider.credentials.rotate(
            credential_id, overlap=overlap, revoke_previous=revoke_previous
        )
    until = shapes.time_text(rotated.previous_until)
    ends = "has ended" if until is None else f"ends at {until}"
    said = f"rotated: the former secret {ends}; the new API key is shown this once:"
    _hand_over(invocation, rotated, key, said)


@credential.add("revoke")
@_credential_id
@options.yes
def _revoke(invocation: Invocation, credential_id: str) -> None:
    """End a credential for ever; every running service refuses it within 5 seconds."""
    invocation.confirm(f"credential {credential_id} ends for ever")
    with invocation.keyring() as keyring:
        revoked = keyring.provider.credentials.revoke(credential_id)
    said = f"revoked: {revoked.credential_id} ({revoked.name})"
    invocation.answer(_shape(invocation, revoked), said)


@credential.add("confirm")
@click.argument(
    "credential_id", required=False, metavar="[ID]", help=_ID, shell_complete=credential_ids
)
@click.option("--all", "every", is_flag=True, help="All that wait since the store was restored.")
def _confirm(invocation: Invocation, credential_id: str | None, every: bool) -> None:
    """Let a credential work again after 'mfn restore', which may be older than its revocation."""
    if every == (credential_id is not None):
        raise CommandError(
            ExitCode.USAGE, "it takes one credential, or --all", "'mfn credential list' shows them"
        )
    with invocation.keyring() as keyring:
        credentials = keyring.provider.credentials
        if credential_id is None:
            names = [each.credential_id for each in credentials.unconfirmed()]
        else:
            names = [credential_id]
        confirmed = [credentials.confirm(name) for name in names]
    told = [f"confirmed: {each.credential_id} ({each.name})" for each in confirmed]
    shape = [_shape(invocation, each) for each in confirmed]
    invocation.answer(shape, *(told or ["nothing waits to be confirmed"]))
