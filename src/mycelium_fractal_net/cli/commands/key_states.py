"""``mfn key suspend``, ``destroy`` and the other verbs that change the state of a version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from mycelium_fractal_net.cli import options
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.security.records.keys import Verb, version_id
from mycelium_fractal_net.shapes import key_shape, time_text, version_meant

_HELP: Final = {
    Verb.ACTIVATE: "Let a suspended or not yet active version protect and open again.",
    Verb.SUSPEND: "Stop every use of a version, until it is activated again.",
    Verb.DEACTIVATE: "Let a version open and verify, and never protect again.",
    Verb.COMPROMISE: "Record that somebody else may know a version. This cannot be undone.",
    Verb.CANCEL_DESTRUCTION: "Keep a version that waits for its destruction.",
}


def state_commands() -> Iterator[click.Command]:
    """The commands, in the order in which a group lists them."""
    for verb in Verb:
        yield _destroy if verb is Verb.DESTROY else _plain(verb)
    yield _abandon


def _plain(verb: Verb) -> click.Command:
    def change(invocation: Invocation, name: str) -> None:
        if verb is Verb.COMPROMISE:
            invocation.confirm(f"{name} is marked compromised and never protects again")
        _apply(invocation, verb, name)

    with_options = options.version_name(change)
    if verb is Verb.COMPROMISE:
        with_options = options.yes(with_options)
    return command(verb.value, help=_HELP[verb])(with_options)


@command(Verb.DESTROY.value)
@options.version_name
@options.window_days
@click.option("--reason", metavar="TEXT", help="Why, for the audit log.")
@options.yes
def _destroy(invocation: Invocation, name: str, window_days: int, reason: str | None) -> None:
    """Have a version erased after a window; what it sealed is then lost for ever."""
    invocation.confirm(f"{name} is erased after {window_days} days with all that it protected")
    _apply(invocation, Verb.DESTROY, name, window_days=window_days, reason=reason)


@command("abandon")
@options.version_name
@click.option("--reason", metavar="TEXT", required=True, help="Why, for the audit log.")
@options.yes
def _abandon(invocation: Invocation, name: str, reason: str) -> None:
    """Ask a custodian that is gone for good no more to destroy an external private key.

    The version is destroyed already. It is tried once more; where that fails, nobody here tries
    again, and neither doctor nor a scheduler speaks of it.
    """
    invocation.confirm(f"nobody asks any more for the private key of {name} to be destroyed")
    with invocation.keyring() as keyring:
        key = keyring.provider.states.abandon(name, reason=reason)
    said = f"{name} is {version_meant(key, name).state}, and its private key counts as gone"
    invocation.answer(key_shape(key), said)


def _apply(invocation: Invocation, verb: Verb, name: str, **more: Any) -> None:
    with invocation.keyring() as keyring:
        key = keyring.provider.states.apply(verb, name, **more)
    version = version_meant(key, name)
    until = time_text(version.destroy_at)
    end = "" if until is None else f" and is erased at {until}"
    said = f"{version_id(key.key_id, version.version)} is {version.state}{end}"
    invocation.answer(key_shape(key), said)
