"""Running ``mfn``: in this process where that is enough, as a real process where it is not."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = [sys.executable, "-m", "mycelium_fractal_net"]
_SOURCE = Path(__file__).parents[2] / "src"
_FIPS_SITE = Path(__file__).parent / "fips_site"


@dataclass(frozen=True)
class Ran:
    """How a run ended."""

    code: int
    out: str
    err: str
    raw: bytes = b""

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class Mfn:
    """``mfn`` over one home folder, run in this process; the working folder is ``folder``."""

    def __init__(self, home: Path, folder: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        self.home = home
        self.folder = folder
        self._capture = capture

    def __call__(self, *arguments: str | Path) -> Ran:
        """Run it; standard input is empty."""
        self._capture.readouterr()
        handlers = logging.root.handlers[:]
        code = main(["--home", str(self.home), *map(str, arguments)])
        # Of a command that writes logs: the next test has another standard error.
        logging.root.handlers[:] = handlers
        out, err = self._capture.readouterr()
        return Ran(int(code), out.decode(errors="replace"), err.decode(), out)

    def ok(self, *arguments: str | Path) -> Ran:
        """Run it and insist that it succeeds."""
        ran = self(*arguments)
        assert (ran.code, ran.err) == (0, ""), ran.err
        return ran

    def fed(self, *arguments: str | Path, input: bytes) -> Ran:
        """Run it in this process, with ``input`` on standard input, which is a file."""
        before, mine = sys.stdin, os.dup(0)
        with tempfile.TemporaryFile() as file:
            file.write(input)
            file.seek(0)
            os.dup2(file.fileno(), 0)
            try:
                with open(0, encoding="utf-8", closefd=False) as sys.stdin:
                    return self(*arguments)
            finally:
                sys.stdin = before
                os.dup2(mine, 0)
                os.close(mine)

    def process(
        self,
        *arguments: str | Path,
        input: bytes = b"",
        env: dict[str, str] | None = None,
        **more: Any,
    ) -> Ran:
        """Run it as a process of its own."""
        done = subprocess.run(
            [*PROGRAM, "--home", str(self.home), *map(str, arguments)],
            input=input,
            capture_output=True,
            cwd=self.folder,
            env=environment(env),
            check=False,
            **more,
        )
        return Ran(
            done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(), done.stdout
        )


def environment(more: dict[str, str] | None = None, *, in_fips_mode: bool = True) -> dict[str, str]:
    """This process's environment without settings of ours, with the source on the path.

    In a run of the tests in FIPS mode (:mod:`.fips_run`) the process sets that up as it starts,
    unless ``in_fips_mode`` is false.
    """
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MFN_") and name != "PYTHONPATH"
    }
    path = str(_SOURCE)
    if in_fips_mode and (folder := os.environ.get("MFN_TEST_FIPS_FOLDER")):
        path = os.pathsep.join((path, str(_FIPS_SITE)))
        clean["MFN_TEST_FIPS_FOLDER"] = folder
    return {**clean, "PYTHONPATH": path, **(more or {})}


def descriptor(text: str) -> int:
    """A file descriptor that holds ``text``."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return reading


def one_line(ran: Ran, code: int) -> str:
    """The one line that a failed run printed: ``mfn: what; advice``. Checks the code."""
    assert ran.code == code, ran.err
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("mfn: ")
    assert "Traceback" not in ran.err
    return ran.err.removeprefix("mfn: ").rstrip("\n")


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` and its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder of the commands."""
    for name in list(os.environ):
        if name.startswith("MFN_") and not name.startswith("MFN_TEST_"):
            monkeypatch.delenv(name)
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    return place  # type: ignore[return-value]


@pytest.fixture
def empty(tmp_path: Path, folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Mfn:
    """``mfn`` before ``mfn init``."""
    return Mfn(tmp_path / "home", folder, capfdbinary)


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that is made once and copied for each test."""
    home = tmp_path_factory.mktemp("made") / "home"
    with initialise(home=home) as keyring:
        keyring.provider.keys.create("orders")
        keyring.provider.keys.create("release", "signing")
    return home


@pytest.fixture
def mfn(empty: Mfn, made_home: Path) -> Mfn:
    """``mfn`` over a store with the keys ``orders`` and, for signing, ``release``."""
    shutil.copytree(made_home, empty.home)
    return empty
