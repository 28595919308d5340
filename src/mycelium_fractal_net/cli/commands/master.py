"""``mfn master``: change the master key, or what guards it."""

from __future__ import annotations

import click

from mycelium_fractal_net.cli import passphrase
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.parsing import CommandGroup
from mycelium_fractal_net.security.errors import ExitCode

master = CommandGroup("master", help="Change the master key, which wraps every key at rest.")


@master.add("rotate")
def _rotate(invocation: Invocation) -> None:
    """Make a new master key and wrap every key under it; may be killed and run again."""
    with invocation.keyring() as keyring:
        provider = keyring.provider
        with invocation.progress("wrapping", provider.store.keys.count, items=True) as update:
            newest = provider.master_keys.rotate(update)
    said = f"every key is wrapped by {newest} now; back the master key up"
    invocation.answer({"master_key": newest}, said)


@master.add("passphrase")
@click.option(
    "--new-passphrase-fd",
    metavar="N",
    type=int,
    help="Read the new passphrase from file descriptor N.",
)
@click.option("--remove", is_flag=True, help="Keep the master key without a passphrase.")
def _passphrase(invocation: Invocation, new_passphrase_fd: int | None, remove: bool) -> None:
    """Set, change or remove the passphrase that guards the master key."""
    from mycelium_fractal_net.bootstrap import change_passphrase

    if remove and new_passphrase_fd is not None:
        raise CommandError(
            ExitCode.USAGE, "--remove and --new-passphrase-fd exclude each other", "give one"
        )
    settings = invocation.settings()
    if remove:
        change_passphrase(settings, invocation.passphrase, None)
        invocation.answer({"passphrase": False}, "the master key has no passphrase now")
        return

    def chosen() -> bytes:
        if new_passphrase_fd is None:
            return passphrase.ask_new()
        return passphrase.read_descriptor(new_passphrase_fd)

    change_passphrase(settings, invocation.passphrase, chosen)
    invocation.answer({"passphrase": True}, "the master key is under the new passphrase now")
