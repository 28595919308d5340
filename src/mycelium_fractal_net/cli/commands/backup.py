"""``mfn backup`` and ``mfn restore``: the key store in one sealed file, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli import options
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import STANDARD, input_stream
from mycelium_fractal_net.cli.outputs import destination, output_stream
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.cli.terminal import columns, complain, counted
from mycelium_fractal_net.security.errors import ExitCode, MfnError

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.security.backup import Backup, Restored
    from mycelium_fractal_net.security.records.credentials import Credential


@command("backup")
@click.argument("file", metavar="FILE", help="The backup; - is standard output, or input.")
@click.option("--verify", is_flag=True, help="Open a backup to its end instead; restore nothing.")
@click.option(
    "--record",
    is_flag=True,
    help="With --verify: record that it is kept, and activate what waited for it.",
)
@options.force
def backup(invocation: Invocation, file: str, verify: bool, record: bool, force: bool) -> None:
    """Write a sealed backup of the key store, which may be in use. The master key is not in it.

    Versions that waited for a backup protect data once this one is on the disk. What goes to
    standard output counts only when it was read back: mfn backup --verify --record.
    """
    if record and not verify:
        raise CommandError(
            ExitCode.USAGE,
            "--record goes with --verify",
            "a backup into a file is recorded by itself; one into - once it was read back",
        )
    if verify:
        backup, activated = _verify(invocation, file, record=record)
    else:
        backup, activated = _make(invocation, file, force=force)
    if verify or file != STANDARD:
        held, made = counted(backup.versions, "key version"), shapes.time_text(backup.made_at)
        invocation.answer(
            {**_shape(backup), "activated": activated},
            f"{'whole' if verify else file}: backup {backup.made.backup_id} of {made}, {held}",
            *_external_lines(backup),
            *(f"activated, since the backup holds it: {each}" for each in activated),
        )


def _make(invocation: Invocation, file: str, *, force: bool) -> tuple[Backup, list[str]]:
    from mycelium_fractal_net.security.backup import record_backup, write_backup

    target = destination(STANDARD, file)
    with invocation.keyring() as keyring:
        with output_stream(target, force=force) as writer:
            backup = write_backup(keyring.provider, writer)
            writer.flush()
        if target is None:
            complain("not recorded: read it back with mfn backup --verify --record FILE")
            return backup, []
        try:
            return backup, record_backup(keyring.provider, backup)
        except MfnError:
            complain(f"{file} is whole and not recorded: mfn backup --verify --record {file}")
            raise


def _verify(invocation: Invocation, file: str, *, record: bool) -> tuple[Backup, list[str]]:
    from mycelium_fractal_net.bootstrap import verify_backup_file
    from mycelium_fractal_net.security.backup import record_backup

    with input_stream(file, file, quiet=invocation.quiet) as reader:
        backup = verify_backup_file(invocation.settings(), reader, invocation.passphrase)
    if not record:
        return backup, []
    with invocation.keyring() as keyring:
        return backup, record_backup(keyring.provider, backup)


@command("restore")
@click.argument("file", metavar="FILE", help="A backup; - is standard input.")
@options.shared_database
def restore(invocation: Invocation, file: str, shared_database: bool) -> None:
    """Put a backup into an empty key store, under the master key that the store had.

    It starts closed: keys that encrypted raw messages are rotated, requests that were signed
    before are refused, and no credential works before 'mfn credential confirm'. They are listed.
    """
    from mycelium_fractal_net.bootstrap import restore

    with invocation.acting(), input_stream(file, file, quiet=invocation.quiet) as reader:
        restored = restore(
            invocation.settings(),
            reader,
            invocation.passphrase,
            shared_database=shared_database,
        )
    with invocation.keyring() as keyring:
        waiting = list(keyring.provider.credentials.unconfirmed())
    backup, made = restored.backup, shapes.time_text(restored.backup.made_at)
    invocation.answer(
        _restored_shape(invocation, restored, waiting),
        f"restored backup {backup.made.backup_id}: the store as it was at {made}",
        "what was revoked, suspended or marked compromised after that is as before: do it again",
        *(f"rotated, for its raw messages: {version}" for version in restored.rotated),
        *(f"does not sign here: {version}: {why}" for version, why in restored.unusable),
    )
    if waiting and not invocation.json:
        invocation.say(
            f"{counted(len(waiting), 'credential')} to confirm, or to revoke:"
            " mfn credential confirm ID, or --all"
        )
        columns(("ID", "NAME", "SCOPES"), (_row(each) for each in waiting))


def _external_lines(backup: Backup) -> list[str]:
    if not backup.external:
        return []
    return [
        f"of {backup.external} of them, which are external, the private key is with its custodian"
        " and not in the backup"
    ]


def _row(credential: Credential) -> tuple[str, ...]:
    return credential.credential_id, credential.name, " ".join(credential.scopes)


def _shape(backup: Backup) -> dict[str, Any]:
    return {
        "backup_id": backup.made.backup_id,
        "made_at": shapes.time_text(backup.made_at),
        "generation": backup.made.generation,
        "master_key": backup.made.master_id,
        "versions": backup.versions,
        "external": backup.external,
        "rows": backup.rows,
    }


def _restored_shape(
    invocation: Invocation, restored: Restored, waiting: list[Credential]
) -> dict[str, Any]:
    rotation_days = invocation.settings().credentials.rotation_days
    return {
        **_shape(restored.backup),
        "restored_at": shapes.time_text(restored.restored_at),
        "rotated": restored.rotated,
        "unusable": [{"version_id": version, "why": why} for version, why in restored.unusable],
        "unconfirmed": [shapes.credential_shape(each, rotation_days) for each in waiting],
    }
