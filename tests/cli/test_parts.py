"""Parts of sealed files: ``mfn decrypt --range`` and ``mfn cat``."""

from __future__ import annotations

import os
import pty
import secrets
import subprocess
from typing import TYPE_CHECKING

import click
import pytest

from mycelium_fractal_net.cli.numbers import ByteRange
from mycelium_fractal_net.security.errors import ExitCode
from tests.support.cli import PROGRAM, environment

if TYPE_CHECKING:
    from tests.support.cli import Mfn

CONTENT = secrets.token_bytes((1 << 20) + 5)


@pytest.fixture
def sealed(mfn: Mfn) -> Mfn:
    """With a file of random bytes and one of text, both sealed."""
    (mfn.folder / "big").write_bytes(CONTENT)
    (mfn.folder / "text").write_text("one\tzwölf\n\x1b[2Jtwo\n")
    for name in ("big", "text"):
        mfn.ok("encrypt", mfn.folder / name)
    return mfn


RANGES = {
    "0:1MiB": slice(0, 1 << 20),
    "1MiB:": slice(1 << 20, None),
    ":100": slice(100),
    "-4KiB:": slice(-4096, None),
    "-4KiB:-1KiB": slice(-4096, -1024),
    "16383:16385": slice(16383, 16385),
    "7:7": slice(7, 7),
    "1TiB:2TiB": slice(0, 0),
    ":": slice(None),
}


@pytest.mark.parametrize("text", RANGES)
def test_a_range_is_a_slice(text: str) -> None:
    """As Python has it, with binary units."""
    start, end = ByteRange().convert(text, None, None).within(len(CONTENT))
    assert CONTENT[start:end] == CONTENT[RANGES[text]]


@pytest.mark.parametrize("text", ["", "5", "a:b", "1:0", "-1:-2", "1kB:", "1:2:3", "0x1:", "٣:"])
def test_what_is_no_range_is_refused(text: str) -> None:
    """By its text."""
    with pytest.raises(click.BadParameter, match="is no range"):
        ByteRange().convert(text, None, None)


def test_a_range_is_written(sealed: Mfn) -> None:
    """To standard output or a file."""
    big = sealed.folder / "big.mfn"
    assert sealed.ok("decrypt", big, "--range", "-4KiB:").raw == CONTENT[-4096:]
    sealed.ok("decrypt", big, "--range=16383:1MiB", "-o", sealed.folder / "part")
    assert (sealed.folder / "part").read_bytes() == CONTENT[16383 : 1 << 20]
    assert sealed("decrypt", big, "--range", "1").code == ExitCode.USAGE


def test_streams_and_folders_have_no_ranges(sealed: Mfn) -> None:
    """They are refused before anything is opened."""
    os.mkfifo(sealed.folder / "pipe")
    for arguments in (("-",), (sealed.folder / "pipe",), ("-r", sealed.folder)):
        ran = sealed("decrypt", *arguments, "--range", "0:1", "-o", sealed.folder / "x")
        assert ran.code == ExitCode.USAGE
    assert not (sealed.folder / "x").exists()


def test_files_are_printed_one_after_the_other(sealed: Mfn) -> None:
    """And are recorded first."""
    text = (sealed.folder / "text").read_bytes()
    big, words = sealed.folder / "big.mfn", sealed.folder / "text.mfn"
    assert sealed.ok("cat", words, big, words).raw == text + CONTENT + text
    assert sealed.ok("cat", words, "--range", ":3").raw == b"one"
    shown = sealed.ok("audit", "show", "--event", "decrypt", "--json")
    assert '"count":3' in shown.out.replace(" ", "")


def test_of_a_file_that_was_cut_nothing_is_printed(sealed: Mfn) -> None:
    """What a stream learns at its end, a file shows before the first byte."""
    big = sealed.folder / "big.mfn"
    big.write_bytes(big.read_bytes()[:-1000])
    for arguments in (("cat", big), ("decrypt", big, "--range", "0:10")):
        ran = sealed(*arguments)
        assert (ran.code, ran.raw) == (ExitCode.NOT_AUTHENTIC, b"")


def test_a_part_of_what_is_sealed_to_a_recipient(sealed: Mfn) -> None:
    """By its private key; without it everybody is told what it is."""
    for name in ("me", "other"):
        sealed.ok("recipient", "new", sealed.folder / name)
    big, mine = sealed.folder / "for-me.mfn", sealed.folder / "me.key"
    sealed.ok("encrypt", sealed.folder / "big", "-o", big, "--to", sealed.folder / "me.pub")
    span = ("--range", "-4KiB:")
    assert sealed.ok("decrypt", big, *span, "--identity", mine).raw == CONTENT[-4096:]
    for arguments in (
        ("decrypt", big, *span),
        ("cat", big),
        ("decrypt", big, *span, "--identity", sealed.folder / "other.key"),
        ("decrypt", sealed.folder / "big.mfn", *span, "--identity", mine),
    ):
        ran = sealed(*arguments)
        assert (ran.code, ran.raw) == (ExitCode.NOT_AUTHENTIC, b"")


def test_a_terminal_gets_text_that_moves_no_cursor(sealed: Mfn) -> None:
    """Line ends and tabs stay; what is random shows as escapes."""
    ours, theirs = pty.openpty()
    ran = subprocess.run(
        [*PROGRAM, "--home", sealed.home, "cat", sealed.folder / "text.mfn"],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=environment({}),
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 1000).decode()
    os.close(ours)
    assert ran.returncode == 0
    assert shown.replace("\r\n", "\n").expandtabs() == "one\tzwölf\n\\x1b[2Jtwo\n".expandtabs()
