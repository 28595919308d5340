"""``mfn sign`` and ``mfn verify``: signature files beside the files they sign."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from mycelium_fractal_net.cli.completion import key_names, version_names
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import (
    STANDARD,
    check_input,
    input_stream,
    read_public_key,
    read_small,
)
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.options import PATH
from mycelium_fractal_net.cli.outputs import destination, output_stream
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.cli.recording import record_signing, record_verifying
from mycelium_fractal_net.security.errors import ExitCode

SIGNATURE_SUFFIX: Final = ".sig"
_SIGNATURE_BYTES: Final = 65_536  # a .sig file of the longest scheme has under 4 KiB


@command("sign")
@click.argument("file", metavar="FILE", help="The file to sign, or -.")
@click.option("--key", "-k", metavar="KEY", help="The signing key.", shell_complete=key_names)
@click.option("--output", "-o", metavar="FILE", help="Instead of FILE.sig; - is stdout.")
@click.option("--force", is_flag=True, help="Replace the output.")
def sign(
    invocation: Invocation, file: str, key: str | None, output: str | None, force: bool
) -> None:
    """Sign a file of any size; the signature goes to FILE.sig."""
    if file != STANDARD:
        check_input(Path(file))
    natural = STANDARD if file == STANDARD else file + SIGNATURE_SUFFIX
    target = destination(file, output, natural)
    with (
        invocation.keyring() as keyring,
        output_stream(target, force=force, like=file) as writer,
        input_stream(file, "signing", quiet=invocation.quiet) as reader,
    ):
        record_signing(keyring, key)
        writer.write(keyring.sign_file(reader, key_id=key))
    if target is not None:
        shape = {"input": file, "output": str(target)}
        invocation.answer(shape, f"signed {file} -> {target}")


@command("verify")
@click.argument("file", metavar="FILE", help="The signed file, or -.")
@click.argument("signature", metavar="SIG", type=PATH, help="Its signature file.")
@click.option(
    "--key",
    "-k",
    metavar="KEY",
    help="The key, or version of one, that must have signed.",
    shell_complete=version_names,
)
@click.option("--public-key", metavar="FILE", help="A public key, PEM, DER or JWK; needs no store.")
def verify(
    invocation: Invocation, file: str, signature: Path, key: str | None, public_key: str | None
) -> None:
    """Check a file against its signature, under the key that is named."""
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
        _verify_by_public_key(invocation, file, signed, public_key)
        shape = {"input": file, "valid": True, "version_id": None}
        invocation.answer(shape, f"{file} was signed by the key of {public_key}")
        return
    with (
        invocation.keyring() as keyring,
        input_stream(file, "verifying", quiet=invocation.quiet) as reader,
    ):
        record_verifying(keyring, str(key))
        by = keyring.verify_file(reader, signed, key_id=str(key))
    shape = {"input": file, "valid": True, "version_id": by}
    invocation.answer(shape, f"{file} was signed by {by}")


def _verify_by_public_key(
    invocation: Invocation, file: str, signed: bytes, public_key: str
) -> None:
    from mycelium_fractal_net.bootstrap import build_policy
    from mycelium_fractal_net.security.signatures.signature_file import parse_signature_file

    policy = build_policy(invocation.settings())
    public = policy.read_verifying_key(read_public_key(public_key))
    with input_stream(file, "verifying", quiet=invocation.quiet) as reader:
        public.verify_file(reader, parse_signature_file(signed))
