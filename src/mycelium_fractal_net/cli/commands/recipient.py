"""``mfn recipient``: keys that files are sealed to. No key store has any part in it."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from mycelium_fractal_net.cli import passphrase
from mycelium_fractal_net.cli.commands.addressed import public_keys
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.outputs import check_length, naming
from mycelium_fractal_net.cli.parsing import CommandGroup
from mycelium_fractal_net.cli.terminal import json_value, say
from mycelium_fractal_net.security.errors import ExitCode
from mycelium_fractal_net.security.sealed.addressed_layout import KINDS

KEY_SUFFIX: Final = ".key"
PUBLIC_SUFFIX: Final = ".pub"

recipient = CommandGroup(
    "recipient",
    help="Make keys that files are sealed to, with encrypt --to; no key store is needed.",
)


@recipient.add("new")
@click.argument("name", metavar="NAME", help="NAME.key and NAME.pub are made; it may be a path.")
@click.option(
    "--kind",
    type=click.Choice([*KINDS]),
    help="The curve; mlkem768-x25519 holds against quantum computers too [x25519, in FIPS mode"
    " p256].",
)
@click.option("--comment", metavar="TEXT", help="A line for both files, such as whose key it is.")
@click.option(
    "--passphrase", "ask", is_flag=True, help="Ask for a passphrase that NAME.key is to be under."
)
def _new(
    invocation: Invocation, name: str, kind: str | None, comment: str | None, ask: bool
) -> None:
    """Make a key: NAME.key opens and stays here, NAME.pub is given to whoever is to seal.

    There is no copy of NAME.key, and nothing opens what was sealed to it but that file, with
    --passphrase, or the one that --passphrase-fd gives, and that.
    """
    from mycelium_fractal_net.bootstrap import build_policy

    if comment is not None and not comment.isprintable():
        raise CommandError(ExitCode.USAGE, "a comment is one line of text", "give another")
    settings = invocation.settings()
    policy = build_policy(settings)
    private, public = _files_of(name)
    secret_of = _passphrase(invocation, ask, str(private))
    key = policy.generate_recipient_key(KINDS[kind] if kind else None)
    line = key.public.line()
    made = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    notes = [f"# made {made}", *([] if comment is None else [f"# {comment}"])]
    secret = [*notes, "# keep this file: nothing else opens what is sealed to", f"# {line}"]
    own = (
        key.line()
        if secret_of is None
        else policy.seal_identity(
            key, secret_of, settings.security.encryption.key_derivation_iterations
        )
    )
    _write(private, public, [*secret, own], [*notes, line])
    shape = {
        "identity": str(private),
        "public": str(public),
        "algorithm": key.public.algorithm,
        "recipient": line,
    }
    invocation.answer(
        shape, f"made {private}, which opens, and {public}, which is to be given away"
    )


@recipient.add("public")
@click.argument("file", metavar="FILE", help="A file of private keys, or -.")
def _public(invocation: Invocation, file: str) -> None:
    """Print the public keys of private ones, a line for each; no passphrase is asked for."""
    from mycelium_fractal_net.bootstrap import build_policy

    lines = [key.line() for key in public_keys(build_policy(invocation.settings()), file)]
    if invocation.json:
        json_value(lines)
        return
    for line in lines:
        say(line)


def _passphrase(invocation: Invocation, ask: bool, name: str) -> bytes | None:
    if invocation.passphrase_fd is not None:
        return passphrase.read_descriptor(invocation.passphrase_fd)
    return passphrase.ask_new(f"Passphrase of {name}", name) if ask else None


def _files_of(name: str) -> tuple[Path, Path]:
    """Where the private and the public key go, which are not there yet.

    Raises :class:`CommandError` and :class:`FileExistsError`.
    """
    last = name.rpartition("/")[2]
    if not last.strip("."):
        raise CommandError(ExitCode.USAGE, "the key has no name", "name it, such as alice")
    check_length(last + KEY_SUFFIX, "")
    private, public = Path(name + KEY_SUFFIX), Path(name + PUBLIC_SUFFIX)
    if not private.parent.is_dir():
        raise CommandError(ExitCode.WRITE, f"there is no folder {private.parent}", "make it")
    for each in (public, private):  # before a passphrase is asked for
        if os.path.lexists(each):
            raise FileExistsError(errno.EEXIST, "file exists", str(each))
    return private, public


def _write(private: Path, public: Path, secret: list[str], shown: list[str]) -> None:
    """Both files or none; neither replaces another (:class:`FileExistsError`)."""
    from mycelium_fractal_net.security.byte_io.durable import create_private, sync_folder

    descriptor = create_private(private)
    try:
        with naming(private):
            _put(descriptor, secret)
        given = os.open(public, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        try:
            with naming(public):
                _put(given, shown)
        except BaseException:
            public.unlink(missing_ok=True)
            raise
    except BaseException:
        private.unlink(missing_ok=True)
        raise
    sync_folder(private.parent)


def _put(descriptor: int, lines: list[str]) -> None:
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(descriptor)
