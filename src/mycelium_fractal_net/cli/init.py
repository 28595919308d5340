"""``mfn init``: make the key store and its master key."""

from __future__ import annotations

from typing import Annotated

import typer

from mycelium_fractal_net.cli import passphrase
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.terminal import say
from mycelium_fractal_net.security.errors import ExitCode

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``mfn init``."""
    app.command("init")(_init)


def _init(
    context: typer.Context,
    ask: Annotated[
        bool,
        typer.Option("--passphrase", help="Ask for a passphrase that guards the master key."),
    ] = False,
    passphrase_fd: Annotated[
        int | None,
        typer.Option(metavar="N", help="Read that passphrase from file descriptor N."),
    ] = None,
) -> None:
    """Make the key store and a master key. Asks nothing, unless a passphrase is wanted."""
    from mycelium_fractal_net.bootstrap import initialise

    session = session_of(context)
    settings = session.settings()
    descriptor = session.passphrase_fd if passphrase_fd is None else passphrase_fd
    if not settings.master_key_file.exists():
        chosen: bytes | None = None
        if descriptor is not None:
            chosen = passphrase.read_descriptor(descriptor)
        elif ask:
            chosen = passphrase.ask_new()
        with session.acting():
            initialise(settings=settings, passphrase=chosen).close()
        say(f"made a key store, and its master key {settings.master_key_file}", quiet=session.quiet)
        say("back both up, apart from each other: without them nothing opens", quiet=session.quiet)
        if settings.rotation.require_backup:
            say("its keys protect data once a backup holds them: mfn backup FILE",
                quiet=session.quiet)  # fmt: skip
        return
    if ask or passphrase_fd is not None:
        raise CommandError(
            ExitCode.EXISTS,
            f"the master key {settings.master_key_file} is there already",
            "'mfn master passphrase' puts it under a passphrase",
        )
    with session.acting():
        initialise(settings=settings, passphrase=session.passphrase).close()
    say(f"key store and master key are there: {settings.master_key_file}", quiet=session.quiet)
