"""Hold docs/threat_model.md against the tests: each promise has one, and each is there.

A promise is a row of a table whose last column is called "held by"; what holds it are pointers such
as ``tests/test_x.py::test_y``. Here they are looked up in the source; :func:`not_collected` asks
pytest itself.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "threat_model.md"
_HEAD = re.compile(r"^\| *promise *\|(?:.*\|)? *held by *\|$")
_POINTER = re.compile(r"`([^`]*)`")


def promises(text: str) -> dict[str, list[str]]:
    """The pointers of each promise, by its words."""
    found: dict[str, list[str]] = {}
    within = False
    for line in text.splitlines():
        if not line.startswith("|"):
            within = False
        elif _HEAD.match(line):
            within = True
        elif within and not line.startswith("| ---"):
            words, held_by = line.removeprefix("|").removesuffix("|").rsplit("|", 1)
            found[words.strip()] = _POINTER.findall(held_by)
    return found


@cache
def tests_of(path: Path) -> frozenset[str]:
    """The names of the tests in a file, as pytest finds them."""
    if not path.is_file() or not path.name.startswith("test_"):
        return frozenset()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.parse(path.read_text()).body
    return frozenset(
        each.name for each in nodes if isinstance(each, kinds) and each.name.startswith("test_")
    )


def faults(text: str) -> list[str]:
    """Promises that nothing holds, and pointers that lead nowhere."""
    found = []
    for words, pointers in promises(text).items():
        if not pointers:
            found.append(f"no test holds: {words}")
        for pointer in pointers:
            file, _, name = pointer.partition("::")
            if not file.startswith("tests/") or name not in tests_of(ROOT / file):
                found.append(f"there is no test {pointer}")
    return found


def not_collected(text: str) -> list[str]:
    """The same by pytest's own word, which takes a while; empty where it collects each."""
    pointers = sorted({each for held_by in promises(text).values() for each in held_by})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *pointers], cwd=ROOT, capture_output=True, check=False, text=True
    )
    if done.returncode == 0:
        return []
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return said or [f"pytest ends with {done.returncode} where it collects them"]
