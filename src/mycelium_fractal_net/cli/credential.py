"""``mfn credential``: make, list, show, rotate and revoke API keys of the service."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli.completion import credential_ids
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.options import AsJson
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.terminal import columns, json_array, json_value, say
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.security.records.api_keys import ApiKey
    from mycelium_fractal_net.security.records.credentials import Credential

__all__ = ["register"]

CredentialId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A credential, by the 16 characters of its id.",
        autocompletion=credential_ids,
    ),
]


def register(group: typer.Typer) -> None:
    """Add the commands of this file to the group ``mfn credential``."""
    group.command("create")(_create)
    group.command("list")(_list)
    group.command("show")(_show)
    group.command("rotate")(_rotate)
    group.command("revoke")(_revoke)
    group.command("confirm")(_confirm)


def _create(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What people call it; printable ASCII.")
    ],
    scopes: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What it may do, such as encrypt:orders, decrypt:* or keys:read; give it again"
            " for each.",
        ),
    ],
    expires_days: Annotated[
        int | None,
        typer.Option(
            metavar="DAYS", min=1, max=36_500, help="When it ends; by default it does not."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a credential and print its API key, which is shown this once."""
    session = session_of(context)
    with session.keyring() as keyring:
        provider = keyring.provider
        end = None if expires_days is None else provider.clock() + timedelta(days=expires_days)
        made, key = provider.create_credential(name, tuple(scopes), expires_at=end)
    said = f"made credential {made.credential_id} ({made.name}); its API key is shown this once:"
    rotation_days = session.settings().credentials.rotation_days
    _hand_over(made, key, said, rotation_days, as_json=as_json, quiet=session.quiet)


def _hand_over(
    credential: Credential,
    key: ApiKey,
    said: str,
    rotation_days: int,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    if as_json:
        shape = shapes.credential_shape(credential, rotation_days)
        json_value({"id": shape["id"], "api_key": key.text, **shape})
        return
    say(said, quiet=quiet)
    print(key.text)


def _list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the credentials, revoked ones as well, in order of id."""
    session = session_of(context)
    rotation_days = session.settings().credentials.rotation_days
    with session.keyring() as keyring:
        found = keyring.provider.all_credentials()
        if as_json:
            json_array(shapes.credential_shape(each, rotation_days) for each in found)
        else:
            heads = ("ID", "NAME", "STATE", "ROTATION DUE", "ENDS", "SCOPES")
            columns(heads, (_list_row(each, rotation_days) for each in found))


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


def _show(context: typer.Context, credential_id: CredentialId, as_json: AsJson = False) -> None:
    """Show one credential; its secret is stored nowhere."""
    session = session_of(context)
    with session.keyring() as keyring:
        found = keyring.provider.credential(credential_id)
    shape = shapes.credential_shape(found, session.settings().credentials.rotation_days)
    if as_json:
        json_value(shape)
        return
    for field, value in {**shape, "scopes": " ".join(found.scopes)}.items():
        say(f"{field:14} {value or '-'}")


def _rotate(
    context: typer.Context,
    credential_id: CredentialId,
    revoke_previous: Annotated[
        bool,
        typer.Option(
            "--revoke-previous", help="End the former secret at once, not one overlap later."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Give a credential a new secret and print its API key, which is shown this once."""
    session = session_of(context)
    settings = session.settings().credentials
    with session.keyring() as keyring:
        rotated, key = keyring.provider.rotate_credential(
            credential_id,
            overlap=timedelta(days=settings.overlap_days),
            revoke_previous=revoke_previous,
        )
    until = shapes.time_text(rotated.previous_until)
    ends = "has ended" if until is None else f"ends at {until}"
    said = f"rotated: the former secret {ends}; the new API key is shown this once:"
    _hand_over(rotated, key, said, settings.rotation_days, as_json=as_json, quiet=session.quiet)


def _revoke(context: typer.Context, credential_id: CredentialId) -> None:
    """End a credential for ever; every running service refuses it within 5 seconds."""
    session = session_of(context)
    with session.keyring() as keyring:
        revoked = keyring.provider.revoke_credential(credential_id)
    say(f"revoked: {revoked.credential_id} ({revoked.name})", quiet=session.quiet)


def _confirm(
    context: typer.Context,
    credential_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="A credential, by the 16 characters of its id.",
            autocompletion=credential_ids,
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All that wait since the store was restored.")
    ] = False,
) -> None:
    """Let a credential work again after 'mfn restore', which may be older than its revocation."""
    if every == (credential_id is not None):
        raise CommandError(
            ExitCode.USAGE, "it takes one credential, or --all", "'mfn credential list' shows them"
        )
    session = session_of(context)
    with session.keyring() as keyring:
        provider = keyring.provider
        if credential_id is not None:
            names = [credential_id]
        else:
            names = [each.credential_id for each in provider.unconfirmed_credentials()]
        for name in names:
            confirmed = provider.confirm_credential(name)
            said = f"confirmed: {confirmed.credential_id} ({confirmed.name})"
            say(said, quiet=session.quiet)
    if not names:
        say("nothing waits to be confirmed", quiet=session.quiet)
