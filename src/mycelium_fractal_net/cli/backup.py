"""``mfn backup`` and ``mfn restore``: the key store in one sealed file, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mycelium_fractal_net import shapes
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.options import AsJson, Force
from mycelium_fractal_net.cli.places import output_stream, place
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.streams import STANDARD, input_stream
from mycelium_fractal_net.cli.terminal import columns, complain, counted, json_value, say
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.session import Session
    from mycelium_fractal_net.security.backup import Backup, Restored
    from mycelium_fractal_net.security.records.credentials import Credential

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the two commands."""
    app.command("backup")(_backup)
    app.command("restore")(_restore)


def _backup(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The backup; - is standard output, or input.")
    ],
    verify: Annotated[
        bool, typer.Option("--verify", help="Open a backup to its end instead; restore nothing.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option(
            "--record",
            help="With --verify: record that it is kept, and activate what waited for it.",
        ),
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a sealed backup of the key store, which may be in use. The master key is not in it.

    Versions that waited for a backup protect data once this one is on the disk. What goes to
    standard output counts only when it was read back: mfn backup --verify --record.
    """
    session = session_of(context)
    if record and not verify:
        raise CommandError(
            ExitCode.USAGE,
            "--record goes with --verify",
            "a backup into a file is recorded by itself; one into - once it was read back",
        )
    if verify:
        backup, activated = _verify(session, file, record=record)
    else:
        backup, activated = _make(session, file, force=force)
    if as_json and (verify or file != STANDARD):
        json_value({**_shape(backup), "activated": activated})
    elif verify or file != STANDARD:
        _tell(session, "whole" if verify else f"{file}", backup, activated)


def _make(session: Session, file: str, *, force: bool) -> tuple[Backup, list[str]]:
    from mycelium_fractal_net.security.backup import record_backup, write_backup

    target = place(STANDARD, file)
    with session.keyring() as keyring:
        with output_stream(target, force=force) as writer:
            backup = write_backup(keyring.provider, writer)
            writer.flush()
        if target is None:
            complain("not recorded: read it back with mfn backup --verify --record")
            return backup, []
        return backup, record_backup(keyring.provider, backup)


def _verify(session: Session, file: str, *, record: bool) -> tuple[Backup, list[str]]:
    from mycelium_fractal_net.bootstrap import verify_backup_file
    from mycelium_fractal_net.security.backup import record_backup

    with input_stream(file, file, quiet=session.quiet) as reader:
        backup = verify_backup_file(session.settings(), reader, session.passphrase)
    if not record:
        return backup, []
    with session.keyring() as keyring:
        return backup, record_backup(keyring.provider, backup)


def _restore(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A backup; - is standard input.")],
    as_json: AsJson = False,
) -> None:
    """Put a backup into an empty key store, under the master key that the store had.

    It starts closed: keys that encrypted raw messages are rotated, requests that were signed
    before are refused, and no credential works before 'mfn credential confirm'. They are listed.
    """
    from mycelium_fractal_net.bootstrap import restore

    session = session_of(context)
    with session.acting(), input_stream(file, file, quiet=session.quiet) as reader:
        restored = restore(session.settings(), reader, session.passphrase)
    with session.keyring() as keyring:
        waiting = list(keyring.provider.unconfirmed_credentials())
    if as_json:
        json_value(_restored_shape(session, restored, waiting))
    else:
        _tell_restored(session, restored, waiting)


# What is said ---------------------------------------------------------------------------------


def _tell(session: Session, what: str, backup: Backup, activated: list[str]) -> None:
    held = counted(backup.versions, "key version")
    made = shapes.time_text(backup.made_at)
    say(f"{what}: backup {backup.backup_id} of {made}, {held}", quiet=session.quiet)
    for version in activated:
        say(f"activated, since the backup holds it: {version}", quiet=session.quiet)


def _tell_restored(session: Session, restored: Restored, waiting: list[Credential]) -> None:
    backup = restored.backup
    made = shapes.time_text(backup.made_at)
    say(f"restored backup {backup.backup_id}: the store as it was at {made}", quiet=session.quiet)
    say(
        "what was revoked, suspended or marked compromised after that is as before: do it again",
        quiet=session.quiet,
    )
    for version in restored.rotated:
        say(f"rotated, for its raw messages: {version}", quiet=session.quiet)
    if waiting:
        say(
            f"{counted(len(waiting), 'credential')} to confirm, or to revoke:"
            " mfn credential confirm ID, or --all",
            quiet=session.quiet,
        )
        columns(("ID", "NAME", "SCOPES"), (_row(each) for each in waiting))


def _row(credential: Credential) -> tuple[str, ...]:
    return credential.credential_id, credential.name, " ".join(credential.scopes)


def _shape(backup: Backup) -> dict[str, Any]:
    return {
        "backup_id": backup.backup_id,
        "made_at": shapes.time_text(backup.made_at),
        "generation": backup.generation,
        "master_key": backup.master_id,
        "versions": backup.versions,
        "rows": backup.rows,
    }


def _restored_shape(
    session: Session, restored: Restored, waiting: list[Credential]
) -> dict[str, Any]:
    rotation_days = session.settings().credentials.rotation_days
    return {
        **_shape(restored.backup),
        "restored_at": shapes.time_text(restored.restored_at),
        "rotated": restored.rotated,
        "unconfirmed": [shapes.credential_shape(each, rotation_days) for each in waiting],
    }
