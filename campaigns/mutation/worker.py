"""A copy of the tree with two processes that try mutants in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from campaigns.mutation.files import ROOT

_COPIED: Final = (
    "src", "tests", "campaigns", "docs", "scripts", "configs", "fuzz", "benchmarks", "requirements",
    ".ci", "pyproject.toml", "README.md", "Makefile", "CONTRIBUTING.md", "SECURITY.md",
    "CHANGELOG.md", "LICENSE", "hatch_build.py", "requirements.txt",
)  # fmt: skip
_MEMORY: Final = Path("/dev/shm")


def copied(tree: Path) -> Path:
    """A fresh copy of what the tests need, times of files included: compiled code stays valid."""
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, symlinks=True)
        elif source.exists():
            shutil.copy2(source, tree / name)
    return tree


class Zygote:
    """One of the two processes. ``tests`` are those that it collected, ``costly`` need a server."""

    def __init__(self, tree: Path, kind: str, files: Sequence[str] = ()) -> None:
        place = _MEMORY if os.access(_MEMORY, os.W_OK) else tree.parent
        self._temporary = place / f"mutation-{os.getpid()}-{kind}-{tree.name}"
        surroundings = {name: value for name, value in os.environ.items() if name != "CI"}
        surroundings["PYTHONPATH"] = f"{tree}:{tree / 'src'}"
        if kind == "cold":
            surroundings["PYTHONDONTWRITEBYTECODE"] = "1"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "campaigns.mutation.zygote", kind, *files],
            cwd=tree,
            env=surroundings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        began = self._answer()
        self.tests: set[str] = set(began["tests"])
        self.costly: set[str] = set(began["costly"])

    def attempt(
        self, file: str, source: str | None, tests: Sequence[str], cpu: float
    ) -> dict[str, Any]:
        """Run those tests in a child that has the mutant, to the first that fails.

        ``source`` None is the file as it is; ``cpu`` are the seconds of processor time it has.
        """
        request = {
            "file": file,
            "source": source,
            "tests": list(tests),
            "cpu": cpu,
            "temporary": str(self._temporary),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the test process ended: {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        shutil.rmtree(self._temporary, ignore_errors=True)
