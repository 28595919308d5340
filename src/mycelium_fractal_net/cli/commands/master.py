"""``mfn master``: what the store is under, moved to another master key, and what guards it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from mycelium_fractal_net.cli import options, passphrase
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.numbers import WHOLE
from mycelium_fractal_net.cli.parsing import CommandGroup
from mycelium_fractal_net.security.errors import ExitCode, MfnError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mycelium_fractal_net.bootstrap.masters import CustodianState, MasterStatus
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider

master = CommandGroup("master", help="Change the master key, which wraps every key at rest.")


@master.add("status")
def _status(invocation: Invocation) -> None:
    """Say who holds the master key, whether that answers, and what is left to be moved."""
    from mycelium_fractal_net.bootstrap import build_policy
    from mycelium_fractal_net.bootstrap.masters import master_status

    settings = invocation.settings()
    found = master_status(settings, build_policy(settings))
    shape = {
        "store_id": found.store_id,
        "master_key": found.master_key,
        "custodians": [
            {
                "provider": each.provider,
                "place": each.place,
                "newest": each.newest,
                "error": each.error,
                "under": each.under,
            }
            for each in found.custodians
        ],
        "left": found.left,
        "unknown": found.unknown,
    }
    lines = [
        f"the store {found.store_id or '(its id is not known here)'} is under {found.master_key}",
        *(line for each in found.custodians for line in _lines(each)),
        *(f"nobody here has {name}: {_rows(rows)}" for name, rows in found.unknown.items()),
    ]
    invocation.answer(shape, *lines, *_left(found))


def _lines(state: CustodianState) -> list[str]:
    """A custodian, and what is under each of its master keys."""
    said = f"answers, at {state.place}" if state.error is None else f"is not usable: {state.error}"
    return [
        f"{state.provider} {said}",
        *(f"  {name}: {_rows(rows)}" for name, rows in state.under.items()),
    ]


def _left(status: MasterStatus) -> list[str]:
    """What is still to be moved, and how."""
    if status.left is None:
        return []
    present = status.custodians[0]
    if status.unknown:
        return ["name who has it as well: MFN_KEY_PROVIDER, MFN_FORMER_KEY_PROVIDERS"]
    if not status.left:
        return [f"all of it is under {present.newest}"]
    way = "mfn master rewrap"
    if status.master_key not in present.under:
        way = f"mfn master migrate --to {present.provider}"
    elif present.provider == "local":
        way = "mfn master rotate"
    return [f"{status.left} rows are not yet under {present.newest}; to move them: {way}"]


def _rows(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in rows.items())


@master.add("rotate")
def _rotate(invocation: Invocation) -> None:
    """Make a new master key and wrap every key under it; may be killed and run again."""
    with invocation.keyring() as keyring:
        newest = _moved(invocation, keyring.provider, keyring.provider.master_keys.rotate)
    said = f"every key is wrapped by {newest} now; back the master key up"
    invocation.answer({"master_key": newest}, said)


@master.add("rewrap")
def _rewrap(invocation: Invocation) -> None:
    """Wrap every key by the newest version of the master key, after a rotation in Vault.

    May be killed and run again.
    """
    with invocation.keyring() as keyring:
        newest = _moved(invocation, keyring.provider, keyring.provider.master_keys.rewrap)
    invocation.answer({"master_key": newest}, f"every key is wrapped by {newest} now")


@master.add("migrate")
@click.option(
    "--to",
    "target",
    required=True,
    metavar="PROVIDER",
    type=click.Choice(["local", "vault", "aws-kms", "pkcs11"]),
    help="Who is to hold the master key: local, vault, aws-kms or pkcs11.",
)
def _migrate(invocation: Invocation, target: str) -> None:
    """Move every key from one custodian of the master key to another, while services serve.

    The settings name both. May be killed and run again. What the former one holds stays as it is.
    """
    from mycelium_fractal_net.bootstrap import open_to_move

    settings = invocation.settings()
    asked: Callable[[], bytes] | bytes | None = invocation.passphrase
    if target == "local" and not settings.master_key_file.exists():  # one is made
        descriptor = invocation.passphrase_fd
        asked = None if descriptor is None else passphrase.read_descriptor(descriptor)
    with invocation.acting(), open_to_move(settings, target, asked) as keyring:
        provider = keyring.provider
        newest = _moved(invocation, provider, provider.master_keys.migrate)
        store_id = provider.store_id.hex()
        staying = list(_staying(provider))
    invocation.answer(
        {"master_key": newest, "store_id": store_id},
        f"every key is wrapped by {newest} now; what held the master key before is as it was",
        f"set MFN_KEY_PROVIDER={target} and MFN_STORE_ID={store_id} on each machine, then make a"
        " backup, since those of before open with the former master key alone: mfn backup FILE",
        *staying,
    )


def _staying(provider: StoredKeyProvider) -> Iterator[str]:
    """The external keys that sign where they were made, which no move changes."""
    for key in provider.keys.external_keys():
        former = str(key.latest.external).partition(":")[0]
        with contextlib.suppress(MfnError):  # what is not seen there may be with a former one
            if provider.keys.external.is_with_present(key.latest):
                continue
        yield (
            f"the external key {key.key_id} stays with the former {former}, and signs while that is"
            " named (MFN_FORMER_KEY_PROVIDERS)"
        )


def _moved(
    invocation: Invocation,
    provider: StoredKeyProvider,
    move: Callable[[Callable[[int], None] | None], str],
) -> str:
    with invocation.progress("wrapping", provider.store.keys.count, items=True) as update:
        return move(update)


@master.add("forget")
@click.argument("named", metavar="MASTER")
@options.yes
def _forget(invocation: Invocation, named: str) -> None:
    """Have the store forget a former master key, where nothing in it needs that any more.

    MASTER is an id that 'mfn master status' shows, or local, vault, aws-kms or pkcs11: all of that
    kind that the present custodian does not hold. The master key itself stays where it is, and
    opens the backups of before. Where anything needs it that is said, and nothing changes.
    """
    invocation.confirm(f"the store forgets {named}, and the backups that it opens")
    with invocation.keyring() as keyring:
        provider = keyring.provider
        found = provider.former_masters.forget(named)
        still = [each.scheme for each in provider.custodian.parts[1:]]
    said = f"nothing in the store needs {named}, and it knows no more of it"
    lines = [said, f"backups that open with it alone: {found.backups}; it was left where it is"]
    if named.partition(":")[0] in still:
        lines.append("take it out of the settings: MFN_FORMER_KEY_PROVIDERS")
    shape = {"forgotten": list(found.master_ids), "backups": found.backups}
    invocation.answer(shape, *lines)


@master.add("passphrase")
@click.option(
    "--new-passphrase-fd",
    metavar="N",
    type=WHOLE,
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
