"""``mfn init``: make the key store and its master key."""

from __future__ import annotations

from pathlib import Path

import click

from mycelium_fractal_net.cli import options, passphrase
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.security.errors import ExitCode


@command("init")
@click.option(
    "--passphrase", "ask", is_flag=True, help="Ask for a passphrase that guards the master key."
)
@options.shared_database
def init(invocation: Invocation, ask: bool, shared_database: bool) -> None:
    """Make the key store and a master key, or upgrade the key store of an older release.

    Asks nothing, unless a passphrase is wanted. With --passphrase-fd the master key is under the
    passphrase that is read there.
    """
    from mycelium_fractal_net.bootstrap import initialise, needs_passphrase
    from mycelium_fractal_net.security.key_store.schema import HEAD

    settings = invocation.settings()
    descriptor = invocation.passphrase_fd
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
        invocation.answer(
            {"master_key_file": str(settings.master_key_file), "made": True},
            f"made a key store, and its master key {settings.master_key_file}",
            "back both up, apart from each other: without them nothing opens",
        )
        if settings.rotation.require_backup:
            invocation.say("its keys protect data once a backup holds them: mfn backup FILE")
        return
    unguarded = descriptor is not None and not needs_passphrase(settings)
    if ask or unguarded:
        raise CommandError(
            ExitCode.EXISTS,
            f"the master key {settings.master_key_file} is there already",
            "'mfn master passphrase' puts it under a passphrase",
        )
    made = isinstance(settings.store, Path) and not settings.store.exists()
    with (
        invocation.acting(),
        initialise(
            settings=settings, passphrase=invocation.passphrase, shared_database=shared_database
        ) as keyring,
    ):
        before = keyring.provider.store.database.upgraded_from
    said = "made an empty key store under the master key" if made else "key store and master key"
    upgraded = f"the key store was upgraded from schema {before} to {HEAD}; its keys are as before"
    invocation.answer(
        {
            "master_key_file": str(settings.master_key_file),
            "made": made,
            "upgraded_from": before,
        },
        *(() if before is None else (upgraded,)),
        f"{said} {'that was' if made else 'are'} there: {settings.master_key_file}",
    )
