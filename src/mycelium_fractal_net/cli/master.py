"""``mfn master``: change the master key, or what guards it."""

from __future__ import annotations

from typing import Annotated

import typer

from mycelium_fractal_net.cli import passphrase
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.terminal import progress_bar, say
from mycelium_fractal_net.security.errors import ExitCode

__all__ = ["register"]


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``mfn master``."""
    group.command("rotate")(_rotate)
    group.command("passphrase")(_passphrase)


def _rotate(context: typer.Context) -> None:
    """Make a new master key and wrap every key under it; may be killed and run again."""
    session = session_of(context)
    with session.keyring() as keyring:
        provider = keyring.provider
        with progress_bar("wrapping", provider.count, quiet=session.quiet, items=True) as update:
            newest = provider.rewrap_master(update)
    say(f"every key is wrapped by {newest} now; back the master key up", quiet=session.quiet)


def _passphrase(
    context: typer.Context,
    new_passphrase_fd: Annotated[
        int | None,
        typer.Option(metavar="N", help="Read the new passphrase from file descriptor N."),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Keep the master key without a passphrase.")
    ] = False,
) -> None:
    """Set, change or remove the passphrase that guards the master key."""
    from mycelium_fractal_net.bootstrap import build_policy, open_custodian
    from mycelium_fractal_net.security.key_providers.local import PassphraseKdf

    if remove and new_passphrase_fd is not None:
        raise CommandError(
            ExitCode.USAGE, "--remove and --new-passphrase-fd exclude each other", "give one"
        )
    session = session_of(context)
    settings = session.settings()
    custodian = open_custodian(settings, build_policy(settings), session.passphrase)
    if remove:
        custodian.change_passphrase(None)
        say("the master key has no passphrase now", quiet=session.quiet)
        return
    if new_passphrase_fd is None:
        chosen = passphrase.ask_new()
    else:
        chosen = passphrase.read_descriptor(new_passphrase_fd)
    iterations = settings.security.encryption.key_derivation_iterations
    custodian.change_passphrase(PassphraseKdf(chosen, iterations))
    say("the master key is under the new passphrase now", quiet=session.quiet)
