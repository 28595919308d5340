"""``mfn sign`` and ``mfn verify``: signature files beside the files they sign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mycelium_fractal_net.cli.completion import key_names
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.places import output_stream, place
from mycelium_fractal_net.cli.public_keys import public_key_input
from mycelium_fractal_net.cli.recording import record_signing, record_verifying
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.streams import STANDARD, check_input, input_stream, read_small
from mycelium_fractal_net.cli.terminal import say
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.session import Session

__all__ = ["SIGNATURE_SUFFIX", "register"]

SIGNATURE_SUFFIX: Final = ".sig"
_SIGNATURE_BYTES: Final = 65_536  # a .sig file of the longest scheme has under 4 KiB


def register(app: typer.Typer) -> None:
    """Add ``mfn sign`` and ``mfn verify``."""
    app.command("sign")(_sign)
    app.command("verify")(_verify)


def _sign(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to sign, or -.")],
    key: Annotated[
        str | None,
        typer.Option(
            "--key", "-k", metavar="KEY", help="The signing key.", autocompletion=key_names
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Instead of FILE.sig; - is stdout."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output.")] = False,
) -> None:
    """Sign a file of any size; the signature goes to FILE.sig."""
    session = session_of(context)
    if file != STANDARD:
        check_input(Path(file))
    natural = STANDARD if file == STANDARD else file + SIGNATURE_SUFFIX
    target = place(file, output, natural)
    with (
        session.keyring() as keyring,
        output_stream(target, force=force, like=file) as writer,
        input_stream(file, "signing", quiet=session.quiet) as reader,
    ):
        record_signing(keyring, key)
        writer.write(keyring.sign_file(reader, key_id=key))
    if target is not None:
        say(f"signed {file} -> {target}", quiet=session.quiet)


def _verify(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The signed file, or -.")],
    signature: Annotated[Path, typer.Argument(metavar="SIG", help="Its signature file.")],
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            "-k",
            metavar="KEY",
            help="The key, or version of one, that must have signed.",
            autocompletion=key_names,
        ),
    ] = None,
    public_key: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A public key, PEM, DER or JWK; needs no store."),
    ] = None,
) -> None:
    """Check a file against its signature, under the key that is named."""
    session = session_of(context)
    if (key is None) == (public_key is None):
        raise CommandError(
            ExitCode.USAGE,
            "a signature is valid under a named key or not at all",
            "give either -k KEY or --public-key FILE",
        )
    if file == STANDARD == public_key:
        raise CommandError(
            ExitCode.USAGE,
            "the file and the public key cannot both be standard input",
            "name a file for one of them",
        )
    if file != STANDARD:
        check_input(Path(file))
    signed = read_small(signature, _SIGNATURE_BYTES, "a signature file", ExitCode.NOT_AUTHENTIC)
    if public_key is not None:
        _verify_by_public_key(session, file, signed, public_key)
        say(f"{file} was signed by the key of {public_key}", quiet=session.quiet)
        return
    with (
        session.keyring() as keyring,
        input_stream(file, "verifying", quiet=session.quiet) as reader,
    ):
        record_verifying(keyring, str(key))
        by = keyring.verify_file(reader, signed, key_id=str(key))
    say(f"{file} was signed by {by}", quiet=session.quiet)


def _verify_by_public_key(session: Session, file: str, signed: bytes, public_key: str) -> None:
    from mycelium_fractal_net.bootstrap import build_policy
    from mycelium_fractal_net.security.signatures.files import parse_signature_file

    policy = build_policy(session.settings())
    public = policy.read_verifying_key(public_key_input(public_key))
    with input_stream(file, "verifying", quiet=session.quiet) as reader:
        public.verify_file(reader, parse_signature_file(signed))
