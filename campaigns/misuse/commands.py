"""Every option and argument of every command, run in this process on a store of its own."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from campaigns.misuse.in_turn import begun, count, in_turn
from campaigns.misuse.lines import faults_of_lines
from campaigns.misuse.payloads import MARK, Payload, chosen
from campaigns.misuse.places import work_folder
from mycelium_fractal_net import initialise
from mycelium_fractal_net.cli import main
from mycelium_fractal_net.cli.app import mfn
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from campaigns.frame.campaign import Figures
    from campaigns.frame.run import Run

# What a required parameter is given beside the one that is tried, by its metavar or name.
_GIVEN: Final = {
    "KEY": "orders", "VERSION": "orders:v1", "NAME": "another", "TEXT": "known", "REASON": "known",
    "DATE": "2099-01-01", "SCOPE": "encrypt:orders", "N": "1", "DAYS": "30", "FORMAT": "pem",
}  # fmt: skip
_LISTENS: Final = {"serve"}  # it would wait for requests; its options are settings, which are tried


@dataclass(frozen=True)
class Ran:
    """How a run ended."""

    code: int
    out: bytes
    err: str


def ran(*arguments: str) -> Ran:
    """Run ``mfn`` in this process."""
    out, err = io.BytesIO(), io.BytesIO()
    streams = sys.stdin, sys.stdout, sys.stderr
    handlers = logging.root.handlers[:]
    sys.stdin = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(out, encoding="utf-8", errors="surrogateescape")
    sys.stderr = io.TextIOWrapper(err, encoding="utf-8", errors="backslashreplace")
    try:
        code = main(list(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
        return Ran(int(code), out.getvalue(), err.getvalue().decode())
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
        logging.root.handlers[:] = handlers


def commands(entry: click.Command, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, by its words."""
    if isinstance(entry, click.Group):
        context = click.Context(entry)
        for name in entry.list_commands(context):
            found = entry.get_command(context, name)
            if found is not None:
                yield from commands(found, *names, name)
    else:
        yield names, entry


@dataclass(frozen=True)
class Option:
    """One option or argument of one command; ``others`` is what the command needs beside it."""

    words: tuple[str, ...]
    name: str
    is_argument: bool
    others: tuple[str, ...]
    is_path: bool = False  # of the caller's own: what he names may be written

    def line(self, text: str) -> list[str]:
        """The arguments with the text in its place."""
        if self.is_argument:
            return [*self.words, *self.others, "--", text]
        return [*self.words, *self.others, f"{self.name}={text}"]


def options() -> list[Option]:
    """Each that takes a value, once; those of ``mfn`` itself with one command."""
    found = []
    for words, command in commands(mfn):
        if words[0] in _LISTENS:
            continue
        own = [each for each in command.params if not getattr(each, "is_flag", False)]
        for each in own:
            others: list[str] = ["--once"] if words == ("rotation", "run") else []
            for other in own:
                if other is each or not other.required:
                    continue
                value = _given(other)
                others += (
                    [value] if isinstance(other, click.Argument) else [f"{other.opts[0]}={value}"]
                )
            is_path = isinstance(each.type, click.Path)
            argument = isinstance(each, click.Argument)
            found.append(Option(words, each.opts[0], argument, tuple(others), is_path))
    found += [
        Option(("key", "list"), each.opts[0], False, ())
        for each in mfn.params
        if not getattr(each, "is_flag", False)
    ]
    found.append(Option((), "a command", True, ()))
    return found


def _given(parameter: click.Parameter) -> str:
    if isinstance(parameter.type, click.Choice):
        return str(parameter.type.choices[0])
    metavar = str(parameter.metavar or parameter.name or "").strip("[].").upper()
    return _GIVEN.get(metavar, "plain" if "FILE" in metavar or "PATH" in metavar else "orders")


def work(run: Run) -> Figures:
    """Each payload in each option; the store is put back where a run changed it."""
    state = begun(run)
    failures = state["failures"]
    run.folder = run.folder.absolute()  # this part works in a folder of its own
    folder = work_folder()
    before = Path.cwd()
    try:
        home, kept, place = folder / "home", folder / "kept", folder / "place"
        with initialise(home=kept) as keyring:
            keyring.provider.keys.create("orders")
            keyring.provider.keys.create("release", "signing")
        wanted = options()[:: 3 if run.quick else 1]
        for number, option in in_turn(run, state, wanted, "options"):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            os.chdir(place)
            Path("plain").write_bytes(b"some bytes")
            shutil.rmtree(home, ignore_errors=True)
            shutil.copytree(kept, home)
            for payload in chosen(number, quick=run.quick):
                text = payload.in_arguments
                if text is not None:
                    done, faults = _tried(home, option, text)
                    count(state, done.code)
                    failures += [_told(option, payload, each) for each in faults]
            for path in folder.iterdir():
                if path.name not in ("home", "kept", "place"):
                    if not option.is_path:
                        failures.append(_told(option, None, f"left {path.name}"))
                    path.unlink() if path.is_file() else shutil.rmtree(path)
    finally:
        os.chdir(before)
        shutil.rmtree(folder)
    return {
        "options": len(options()),
        "runs": sum(state["counts"].values()),
        "codes": state["counts"],
        "failures": failures[:200],
    }


def _told(option: Option, payload: Payload | None, what: str) -> str:
    given = "" if payload is None else f" {payload.kind} {payload.text[:20]!a}"
    return f"mfn {' '.join(option.words)} {option.name}{given}: {what}"


def _tried(home: Path, option: Option, text: str) -> tuple[Ran, list[str]]:
    done = ran("--home", str(home), *option.line(text))
    faults = []
    if done.code == ExitCode.UNEXPECTED:
        faults.append("an error that nobody expected")
    if "Traceback" in done.err:
        faults.append("a traceback")
    faults += faults_of_lines(done.err, of="standard error")
    with contextlib.suppress(UnicodeDecodeError):  # bytes that were asked for on standard output
        faults += faults_of_lines(done.out.decode(), of="standard output")
    if any(line and not line.startswith("mfn: ") for line in done.err.splitlines()):
        faults.append(f"a line of another: {done.err[:80]!a}")
    if Path(MARK).exists():
        faults.append("a shell ran it")
    return done, faults
