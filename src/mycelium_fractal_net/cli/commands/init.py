"""``mfn init``: make the key store and its master key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mycelium_fractal_net.cli import options, passphrase
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.config import Settings


@command("init")
@click.option(
    "--passphrase", "ask", is_flag=True, help="Ask for a passphrase that guards the master key."
)
@click.option(
    "--create-key",
    is_flag=True,
    help="Make the master key in the Vault, KMS or HSM of the settings, where it is not there.",
)
@options.shared_database
def init(invocation: Invocation, ask: bool, create_key: bool, shared_database: bool) -> None:
    """Make the key store and a master key, or upgrade the key store of an older release.

    Asks nothing, unless a passphrase is wanted. With --passphrase-fd the master key is under the
    passphrase that is read there.
    """
    from mycelium_fractal_net.bootstrap import initialise, needs_passphrase
    from mycelium_fractal_net.security.key_store.schema import HEAD

    settings = invocation.settings()
    descriptor = invocation.passphrase_fd
    if settings.security.key_management.provider != "local":
        _elsewhere(invocation, settings, create_key=create_key, shared_database=shared_database)
        return
    if create_key:
        raise CommandError(
            ExitCode.USAGE,
            "--create-key is for a master key that is kept elsewhere",
            "without it a key file is made",
        )
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


def _elsewhere(
    invocation: Invocation, settings: Settings, *, create_key: bool, shared_database: bool
) -> None:
    """Make the store under a master key that another machine, or an HSM, keeps."""
    from mycelium_fractal_net.bootstrap import initialise

    with (
        invocation.acting(),
        initialise(
            settings=settings, shared_database=shared_database, create_key=create_key
        ) as keyring,
    ):
        provider = keyring.provider
        store_id, master_key = provider.store_id.hex(), provider.custodian.newest_id()
    invocation.answer(
        {"master_key": master_key, "store_id": store_id},
        f"the key store is there, under the master key {master_key}",
        f"its id, which other machines with the same store need: MFN_STORE_ID={store_id}",
    )
