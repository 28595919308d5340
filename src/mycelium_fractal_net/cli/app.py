"""``mfn`` itself: its global options, and where its commands are."""

from __future__ import annotations

from typing import Final

import click

from mycelium_fractal_net import __version__
from mycelium_fractal_net.cli.completion import install_completion, show_completion
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.parsing import OF_MFN, LazyGroup, command, flag_that_ends

_COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "init": (
        ".init:init",
        "Make the key store and a master key, or upgrade the key store of an older release.",
    ),
    "encrypt": (
        ".encrypt:encrypt",
        "Seal a file (FILE -> FILE.mfn), a folder into another, or a stream.",
    ),
    "decrypt": (
        ".encrypt:decrypt",
        "Open a sealed file (FILE.mfn -> FILE), a folder of them, or a stream.",
    ),
    "cat": (".cat:cat", "Print what is in sealed files, one after the other."),
    "rewrap": (
        ".rewrap:rewrap",
        "Move what is sealed to the newest versions of its keys, in place, or one with -o"
        " elsewhere.",
    ),
    "migrate-xor": (
        ".migrate_xor:migrate",
        "Seal what the XOR cipher wrote, in place: files, folders, or with --database a column.",
    ),
    "sign": (".sign:sign", "Sign a file of any size; the signature goes to FILE.sig."),
    "verify": (".sign:verify", "Check a file against its signature, under the key that is named."),
    "index": (
        ".index:index",
        "Print the tags of a value in a blind index, which is read from a file or standard input.",
    ),
    "inspect": (".inspect:inspect", "Say which key version made a file."),
    "usage": (
        ".retention:usage",
        "Show which versions of a key still open data, and when they last did.",
    ),
    "backup": (
        ".backup:backup",
        "Write a sealed backup of the key store, which may be in use.",
    ),
    "restore": (
        ".backup:restore",
        "Put a backup into an empty key store, under the master key that the store had.",
    ),
    "serve": (".serve:serve", "Serve HTTP on the key store, until Ctrl-C or SIGTERM."),
    "doctor": (
        ".doctor:doctor",
        "Look over configuration, key store and master key; the exit code is the worst found.",
    ),
    "inventory": (
        ".inventory:inventory",
        "Write the cryptographic inventory, a CycloneDX 1.6 CBOM. No secret is in it.",
    ),
    "version": ("..app:version", "Print the version of mfn."),
    "fips": (".fips:fips", "Install an OpenSSL FIPS provider, and see what it is."),
    "key": (".key:key", "Make, list and change keys."),
    "recipient": (
        ".recipient:recipient",
        "Make keys that files are sealed to, with encrypt --to; no key store is needed.",
    ),
    "credential": (".credential:credential", "Make, list and change API keys of the service."),
    "signer": (".signer:signer", "Register public keys that may sign requests."),
    "master": (".master:master", "Change the master key, which wraps every key at rest."),
    "rotation": (".rotation:rotation", "Rotate keys on time, and retire old versions."),
    "audit": (".audit:audit", "Verify and read the audit records of this machine."),
}
"""Each command with its module in the folder ``commands``, and its help's first sentence."""


@command("version")
def version(invocation: Invocation) -> None:
    """Print the version of mfn."""
    if invocation.json:
        invocation.answer({"version": __version__})
    else:
        _print_version()


def _print_version(_context: click.Context | None = None) -> None:
    print(f"mfn {__version__}")


@click.command(
    "mfn",
    cls=LazyGroup,
    lazy=_COMMANDS,
    package=f"{__package__}.commands",
    params=[*OF_MFN],
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@flag_that_ends("--version", _print_version, "Print the version and exit.")
@install_completion
@show_completion
@click.pass_context
def mfn(context: click.Context) -> None:
    """Keep keys; encrypt, sign and check files with them.

    Begin with: mfn init, mfn key create orders, mfn encrypt FILE -k orders.

    These options may stand after a command as well.
    """
    if context.invoked_subcommand is None:
        print(context.get_help())
