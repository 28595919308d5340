"""``mfn key suspend``, ``destroy`` and the other verbs that change the state of a version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mycelium_fractal_net.cli.completion import version_names
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.terminal import say
from mycelium_fractal_net.security.records.keys import Verb, version_id
from mycelium_fractal_net.shapes import time_text, version_meant

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.session import Session

__all__ = ["register"]

VersionName = Annotated[
    str,
    typer.Argument(
        metavar="VERSION",
        help="A version, such as orders:v2; a bare key means its newest.",
        autocompletion=version_names,
    ),
]


def register(group: typer.Typer) -> None:
    """Add the verbs to the group ``mfn key``."""
    group.command(Verb.ACTIVATE.value)(_activate)
    group.command(Verb.SUSPEND.value)(_suspend)
    group.command(Verb.DEACTIVATE.value)(_deactivate)
    group.command(Verb.COMPROMISE.value)(_compromise)
    group.command(Verb.DESTROY.value)(_destroy)
    group.command(Verb.CANCEL_DESTRUCTION.value)(_cancel_destruction)


def _activate(context: typer.Context, name: VersionName) -> None:
    """Let a suspended or not yet active version protect and open again."""
    _apply(session_of(context), Verb.ACTIVATE, name)


def _suspend(context: typer.Context, name: VersionName) -> None:
    """Stop every use of a version, until it is activated again."""
    _apply(session_of(context), Verb.SUSPEND, name)


def _deactivate(context: typer.Context, name: VersionName) -> None:
    """Let a version open and verify, and never protect again."""
    _apply(session_of(context), Verb.DEACTIVATE, name)


def _compromise(context: typer.Context, name: VersionName) -> None:
    """Record that somebody else may know a version. This cannot be undone."""
    _apply(session_of(context), Verb.COMPROMISE, name)


def _destroy(
    context: typer.Context,
    name: VersionName,
    window_days: Annotated[
        int, typer.Option(metavar="DAYS", help="How long it can still be cancelled, 7 to 365.")
    ] = 30,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why, for the audit log.")
    ] = None,
) -> None:
    """Have a version erased after a window; what it sealed is then lost for ever."""
    _apply(session_of(context), Verb.DESTROY, name, window_days, reason)


def _cancel_destruction(context: typer.Context, name: VersionName) -> None:
    """Keep a version that waits for its destruction."""
    _apply(session_of(context), Verb.CANCEL_DESTRUCTION, name)


def _apply(
    session: Session, verb: Verb, name: str, window_days: int = 30, reason: str | None = None
) -> None:
    with session.keyring() as keyring:
        key = keyring.provider.states.apply(verb, name, window_days=window_days, reason=reason)
    version = version_meant(key, name)
    until = time_text(version.destroy_at)
    end = "" if until is None else f" and is erased at {until}"
    said = f"{version_id(key.key_id, version.version)} is {version.state}{end}"
    say(said, quiet=session.quiet)
