"""Which tests run which line of a file, and how long each takes: coverage's contexts."""

from __future__ import annotations

import difflib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from coverage.numbits import numbits_to_nums

from campaigns.frame.run import write_whole
from campaigns.mutation.files import ROOT, SECURITY

TESTS: Final = ("tests/security", "tests/test_*.py")
"""Those that are looked for; what is measured of the others adds tests that are slow alone."""
_DURATION: Final = re.compile(r"^([0-9.]+)s (?:setup|call|teardown) +(.*)$", re.MULTILINE)
_LEAST: Final = 0.002  # seconds; what takes less is not listed


@dataclass
class Contexts:
    """``lines`` are by file and line the tests that run it; ``seconds`` what a test takes."""

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)  # of the files of tests

    def covering(self, file: str, first: int, last: int) -> set[str]:
        """The tests that run one of those lines."""
        found = self.lines.get(file, {})
        return set().union(*(found.get(line, set()) for line in range(first, last + 1)))

    def breadth(self) -> dict[str, int]:
        """How many lines each test runs, of all files."""
        count: dict[str, int] = defaultdict(int)
        for lines in self.lines.values():
            for some in lines.values():
                for test in some:
                    count[test] += 1
        return count

    def moved_to(self, file: str, source: str) -> None:
        """The file has another text now: what its lines were run by goes with those that stayed."""
        was = self.sources.get(file)
        if was is None or was == source:
            return
        blocks = difflib.SequenceMatcher(
            None, was.splitlines(), source.splitlines(), autojunk=False
        ).get_opcodes()
        old, new = self.lines.get(file, {}), {}
        for kind, begin, end, to_begin, to_end in blocks:
            if kind == "equal":
                for line in range(begin, end):
                    new[to_begin + line - begin + 1] = old.get(line + 1, set())
            else:  # a new line has the tests of those it stands for, and of the one before
                some = set().union(*(old.get(line, set()) for line in range(begin, end + 1)))
                for line in range(to_begin, to_end):
                    new[line + 1] = some
        self.lines[file] = {line: some for line, some in new.items() if some}
        self.sources[file] = source

    def to_json(self) -> str:
        names = sorted(self.seconds)
        numbers = {name: number for number, name in enumerate(names)}
        return json.dumps(
            {
                "tests": names,
                "seconds": [self.seconds[name] for name in names],
                "lines": {
                    file: {
                        line: sorted(numbers[each] for each in some) for line, some in of.items()
                    }
                    for file, of in self.lines.items()
                },
                "sources": self.sources,
                "hashes": self.hashes,
            }
        )

    @classmethod
    def from_file(cls, path: Path) -> Contexts:
        """What was kept there, or nothing."""
        if not path.exists():
            return cls()
        kept: dict[str, Any] = json.loads(path.read_text())
        names = kept["tests"]
        return cls(
            dict(zip(names, kept["seconds"], strict=True)),
            {
                file: {int(line): {names[each] for each in some} for line, some in of.items()}
                for file, of in kept["lines"].items()
            },
            kept["sources"],
            kept["hashes"],
        )


def brought_up_to_date(folder: Path, root: Path = ROOT) -> Contexts:
    """What is kept in that folder; files of tests that are new or changed are run for it."""
    path = folder / "contexts.json"
    known = Contexts.from_file(path)
    hashes = hashes_of_tests(root)
    stale = sorted(file for file, each in hashes.items() if known.hashes.get(file) != each)
    for file in known.sources:
        if (root / file).exists():
            known.moved_to(file, (root / file).read_text())
    if stale:
        _forget(known, {*stale, *(known.hashes.keys() - hashes.keys())})
        _measure(known, folder, stale, root)
        known.hashes = hashes
        write_whole(path, known.to_json())
    return known


def hashes_of_tests(root: Path = ROOT) -> dict[str, str]:
    """The SHA-256 of each file of tests, by its name from the root."""
    return {
        file.relative_to(root).as_posix(): sha256(file.read_bytes()).hexdigest()
        for pattern in ("tests/security/**/test_*.py", "tests/test_*.py")
        for file in sorted(root.glob(pattern))
    }


def _forget(known: Contexts, files: Iterable[str]) -> None:
    gone = {name for name in known.seconds if name.partition("::")[0] in set(files)}
    known.seconds = {name: each for name, each in known.seconds.items() if name not in gone}
    for lines in known.lines.values():
        for some in lines.values():
            some -= gone


def _measure(known: Contexts, folder: Path, tests: Sequence[str], root: Path) -> None:
    """Run those files of tests under coverage, with a context for each test."""
    folder.mkdir(parents=True, exist_ok=True)
    settings, data = folder / "coveragerc", folder / "coverage.data"
    settings.write_text("[run]\nsource_pkgs = mycelium_fractal_net\nomit = */migrations/*\n")
    data.unlink(missing_ok=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-m", "not long", "-n", "2", "-vv"),
            *("-p", "no:cacheprovider", "--cov=mycelium_fractal_net", f"--cov-config={settings}"),
            *("--cov-context=test", "--cov-report=", "--durations=0", "--durations-min=0.002"),
            *tests,
        ],
        cwd=root,
        env={**os.environ, "COVERAGE_FILE": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the tests fail as they are:\n{done.stdout[-4000:]}{done.stderr}")
    add(known, data, durations(done.stdout), root)


def durations(output: str) -> dict[str, float]:
    """Seconds by test, of what pytest wrote."""
    found: dict[str, float] = defaultdict(float)
    for seconds, test in _DURATION.findall(output):
        found[test.strip()] += float(seconds)
    return found


def add(known: Contexts, data: Path, seconds: Mapping[str, float], root: Path = ROOT) -> None:
    """What coverage wrote there, of the files of ``security/``."""
    database = sqlite3.connect(data)
    files = dict(database.execute("SELECT id, path FROM file"))
    names = {
        number: context.rpartition("|")[0]
        for number, context in database.execute("SELECT id, context FROM context")
    }
    for file_id, context_id, bits in database.execute(
        "SELECT file_id, context_id, numbits FROM line_bits"
    ):
        _, found, rest = files[file_id].rpartition(f"{SECURITY}/")
        test = names[context_id]
        if not found or not test:
            continue
        file = found + rest
        known.sources[file] = (root / file).read_text()
        known.seconds[test] = max(seconds.get(test, 0.0), _LEAST)
        lines = known.lines.setdefault(file, {})
        for line in numbits_to_nums(bits):
            lines.setdefault(line, set()).add(test)
    database.close()
