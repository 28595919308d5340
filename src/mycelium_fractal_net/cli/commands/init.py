"""``mfn init``: make the key store and its master key."""

from __future__ import annotations

import click

from mycelium_fractal_net.cli import options, passphrase
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.security.errors import ExitCode


@click.command("init")
@click.option(
    "--passphrase", "ask", is_flag=True, help="Ask for a passphrase that guards the master key."
)
@click.option(
    "--passphrase-fd", metavar="N", type=int, help="Read that passphrase from file descriptor N."
)
@options.shared_database
@click.pass_obj
def init(
    invocation: Invocation, ask: bool, passphrase_fd: int | None, shared_database: bool
) -> None:
    """Make the key store and a master key, or upgrade the store of an older release.

    Asks nothing, unless a passphrase is wanted.
    """
    from mycelium_fractal_net.bootstrap import initialise
    from mycelium_fractal_net.security.key_store.schema import HEAD

    settings = invocation.settings()
    descriptor = invocation.passphrase_fd if passphrase_fd is None else passphrase_fd
    if not settings.master_key_file.exists():
        chosen: bytes | None = None
        if descriptor is not None:
            chosen = passphrase.read_descriptor(descriptor)
        elif ask:
            chosen = passphrase.ask_new()
        with invocation.acting():
            initialise(
                settings=settings, passphrase=chosen, shared_database=shared_database
            ).close()
        invocation.say(f"made a key store, and its master key {settings.master_key_file}")
        invocation.say("back both up, apart from each other: without them nothing opens")
        if settings.rotation.require_backup:
            invocation.say("its keys protect data once a backup holds them: mfn backup FILE")
        return
    if ask or passphrase_fd is not None:
        raise CommandError(
            ExitCode.EXISTS,
            f"the master key {settings.master_key_file} is there already",
            "'mfn master passphrase' puts it under a passphrase",
        )
    with (
        invocation.acting(),
        initialise(
            settings=settings, passphrase=invocation.passphrase, shared_database=shared_database
        ) as keyring,
    ):
        before = keyring.provider.store.database.upgraded_from
    if before is not None:
        invocation.say(f"upgraded the key store from schema {before} to {HEAD}; keys are as before")
    invocation.say(f"key store and master key are there: {settings.master_key_file}")
