"""Files and folders that are called so: sealed, listed, opened, damaged, reported."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from campaigns.misuse.commands import Ran, ran
from campaigns.misuse.lines import faults_of_json_lines, faults_of_lines
from campaigns.misuse.payloads import MARK, PAYLOADS
from campaigns.misuse.places import work_folder
from mycelium_fractal_net import initialise
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from campaigns.frame.campaign import Figures
    from campaigns.frame.run import Run


def names() -> list[str]:
    """Every payload that a file can be called."""
    return list(dict.fromkeys(each.in_file_names for each in PAYLOADS if each.in_file_names))


def work(run: Run) -> Figures:
    """A folder of such files in such folders goes there and back; half of it then is damaged."""
    failures: list[str] = []
    codes: dict[str, int] = {}

    def tried(*arguments: str) -> list[str]:
        done = ran(*arguments)
        codes[str(done.code)] = codes.get(str(done.code), 0) + 1
        return _faults(done)

    folder, before = work_folder(), Path.cwd()
    wanted = names()[:: 6 if run.quick else 1]
    try:
        home = folder / "home"
        with initialise(home=home) as keyring:
            keyring.provider.keys.create("orders")
        place = folder / "place"
        place.mkdir()
        os.chdir(place)
        for number, name in enumerate(wanted):
            inner = Path("plain", "in", name)
            inner.mkdir(parents=True)
            (inner / name).write_bytes(b"%d" % number)
        start = ("--home", str(home))
        failures += tried(*start, "encrypt", "-r", "plain", "-o", "sealed", "-k", "orders")
        failures += tried(*start, "decrypt", "-r", "sealed", "-o", "opened")
        if _tree(Path("plain")) != _tree(Path("opened")):
            failures.append("what came back is not what went there")
        for path in [each for each in Path("sealed").rglob("*") if each.is_file()][::2]:
            path.write_bytes(path.read_bytes()[:-1] + b"x")
        failures += tried(*start, "decrypt", "-r", "sealed", "-o", "again")
        failures += tried(*start, "key", "rotate", "orders")
        failures += tried(*start, "rewrap", "-r", "sealed", "--report", "report.jsonl")
        failures += faults_of_json_lines(Path("report.jsonl").read_bytes(), of="the report")
        for name in wanted:
            Path(name).write_bytes(b"alone")
            for words in (
                ("encrypt", "-k", "orders"),
                ("inspect",),
                ("verify", "-k", "release"),
                ("decrypt", "--debug"),
            ):
                failures += tried(*start, *words, "--", name)
            Path(name).unlink()
        left = {each.name for each in folder.iterdir()} - {"home", "place"}
        failures += [f"a file outside: {each}" for each in left]
        if [*folder.rglob(MARK)]:
            failures.append("a shell ran a name")
    finally:
        os.chdir(before)
        shutil.rmtree(folder)
    return {"names": len(wanted), "codes": codes, "failures": failures}


def _faults(done: Ran) -> list[str]:
    faults = faults_of_lines(done.err, of="standard error")
    faults += faults_of_lines(done.out.decode("utf-8", "surrogateescape"), of="standard output")
    if done.code == ExitCode.UNEXPECTED:
        faults.append(f"an error that nobody expected: {done.err[:200]!a}")
    return faults


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
