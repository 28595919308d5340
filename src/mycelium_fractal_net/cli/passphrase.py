"""Where a passphrase comes from: a file descriptor or the terminal, never the command line."""

from __future__ import annotations

import codecs
import getpass
import os
import sys
from typing import Final

from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.security.errors import ExitCode

_MAX_BYTES: Final = 4096  # far above any passphrase; bounds what a wrong descriptor can feed us


def read_descriptor(descriptor: int) -> bytes:
    """The passphrase that ``descriptor`` holds, up to its end, without one final line end.

    Nor is a byte order mark part of it, which editors put before text. Raises :class:`CommandError`
    where it cannot be read, is empty, is UTF-16, or is longer than 4096 bytes.
    """
    read = b""
    try:
        while len(read) <= _MAX_BYTES and (block := os.read(descriptor, _MAX_BYTES)):
            read += block
    except OSError as error:
        raise CommandError(
            ExitCode.INPUT,
            f"no passphrase can be read from file descriptor {descriptor}: {error.strerror}",
            f"open it in the shell, such as {descriptor}<FILE",
        ) from None
    if read.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CommandError(ExitCode.USAGE, "the passphrase is UTF-16", "save its file as UTF-8")
    return _checked(read.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n").removesuffix(b"\r"))


def ask(prompt: str = "Passphrase of the master key", what: str = "the master key") -> bytes:
    """Ask on the controlling terminal, without echo, for the passphrase of ``what``.

    Raises :class:`CommandError` where there is no terminal.
    """
    if not _has_terminal():
        raise CommandError(
            ExitCode.STORE,
            f"{what} needs its passphrase and there is no terminal to ask on",
            "give --passphrase-fd N"
            + (" or set MFN_MASTER_PASSPHRASE_FILE" if what == "the master key" else ""),
        )
    try:
        return _checked(getpass.getpass(f"{prompt}: ").encode())
    except EOFError:
        raise CommandError(ExitCode.INPUT, "no passphrase was given", "try again") from None


def ask_new(prompt: str = "New passphrase", what: str = "the master key") -> bytes:
    """Ask twice for a passphrase that is to be set. Raises :class:`CommandError`."""
    first = ask(prompt, what)
    if ask(f"{prompt}, again", what) != first:
        raise CommandError(ExitCode.USAGE, "the two passphrases differ", "try again")
    return first


def _checked(passphrase: bytes) -> bytes:
    if not passphrase:
        raise CommandError(ExitCode.USAGE, "the passphrase is empty", "give one")
    if len(passphrase) > _MAX_BYTES:
        raise CommandError(
            ExitCode.USAGE, "the passphrase is longer than 4096 bytes", "give a shorter one"
        )
    return passphrase


def _has_terminal() -> bool:
    # getpass would fall back to standard input, with echo; a pipe there holds data, not a person.
    if sys.stdin is not None and sys.stdin.isatty():
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
