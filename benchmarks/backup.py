"""What a backup of a large store costs, and restoring it; writes docs/benchmarks/backup.*.

python -m benchmarks.backup [--quick] [--out FOLDER]

Whole processes in alternating rounds, beside SQLite's own backup call, which copies pages in the
clear and restores into SQLite alone. Memory is above that of the same command over a small store.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.files import MFN, environment
from benchmarks.growth import fill
from benchmarks.harness import Figure, Ran, figures, run, turns
from benchmarks.report import machine
from mycelium_fractal_net import initialise

_SQLITE = """
import os, sqlite3, sys
source, target = sqlite3.connect(sys.argv[1]), sqlite3.connect(sys.argv[2])
source.backup(target)
target.close()
with open(sys.argv[2], "rb") as file:
    os.fsync(file.fileno())
"""
SQLITE, BACKUP, VERIFY, RESTORE = (
    "SQLite's own call", "mfn backup", "mfn backup --verify", "mfn restore",
)  # fmt: skip
SMALL = 10


@dataclass(frozen=True)
class Results:
    """Seconds of whole processes, their memory above that over a small store, and file sizes."""

    keys: int
    seconds: list[Figure]
    start_up: dict[str, float]
    memory: dict[str, int]
    sizes: dict[str, int]


def main() -> int:
    """Parse the options, measure, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.backup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and a smaller store")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    results = measure(2_000 if options.quick else 100_000, 2 if options.quick else 3)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "backup.md").write_text(markdown(results))
    (options.out / "backup.json").write_text(as_json(results))
    print(markdown(results))
    return 0


def measure(keys: int, rounds: int) -> Results:
    """Back up and restore a store of so many keys, and one of a few, in alternating rounds."""
    with tempfile.TemporaryDirectory(prefix="mfn-backup-") as name:
        large, small = Path(name) / "large", Path(name) / "small"
        for home, count in ((large, keys), (small, SMALL)):
            with initialise(home=home) as keyring:
                keyring.provider.keys.create("orders")
                fill(keyring.provider, count)
        names = [SQLITE, BACKUP, VERIFY, RESTORE]
        ran: dict[str, list[Ran]] = {name: [] for name in names}
        little: dict[str, list[Ran]] = {name: [] for name in names}
        for home in (large, small):
            run_one(BACKUP, home)
        for order in turns(names, rounds):
            for each in order:
                ran[each].append(run_one(each, large))
                little[each].append(run_one(each, small))
        sizes = {SQLITE: (large / "copy.db").stat().st_size, BACKUP: file_of(large).stat().st_size}
    return Results(
        keys,
        figures({name: [each.seconds for each in found] for name, found in ran.items()}),
        {name: statistics.median(each.seconds for each in found) for name, found in little.items()},
        {name: peak(ran[name]) - peak(little[name]) for name in names},
        sizes,
    )


def peak(found: list[Ran]) -> int:
    """The greatest memory of some runs, in bytes."""
    return max(each.memory for each in found)


def file_of(home: Path) -> Path:
    """Where the backup of a store is put."""
    return home / "keys.mfb"


def run_one(name: str, home: Path) -> Ran:
    """Do one of the works over the store in ``home``."""
    env = environment(home)
    file = str(file_of(home))
    if name == SQLITE:
        copy = home / "copy.db"
        copy.unlink(missing_ok=True)
        return run([sys.executable, "-c", _SQLITE, str(home / "keys.db"), str(copy)], env=env)
    if name == BACKUP:
        return run([*MFN, "-q", "backup", "--force", file], env=env)
    if name == VERIFY:
        return run([*MFN, "-q", "backup", "--verify", file], env=env)
    with tempfile.TemporaryDirectory(prefix="mfn-restored-") as other:
        there = Path(other) / "home"
        there.mkdir(mode=0o700)
        shutil.copy(home / "master.key", there)
        return run([*MFN, "-q", "restore", file], env=environment(there))


def markdown(results: Results) -> str:
    """The page docs/benchmarks/backup.md."""
    lines = [
        "# Backups",
        "",
        f"`make bench-backup`: {machine()}.",
        "",
        f"A store of {results.keys:,} keys on SQLite. Whole processes, median of rounds that took"
        f" turns, with the least and the greatest ratio; *start-up* is the same over {SMALL} keys,"
        " and memory is above it.",
        "",
        "| what | seconds | beside SQLite's own call | start-up, seconds | memory, MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {f.name} | {f.seconds:.2f} | {f.ratio:.1f} x ({f.least:.1f} to {f.greatest:.1f})"
        f" | {results.start_up[f.name]:.2f} | {results.memory[f.name] / 2**20:.1f} |"
        for f in results.seconds
    ]
    size = {name: count / 2**20 for name, count in results.sizes.items()}
    lines += [
        "",
        f"The backup is {size[BACKUP]:.1f} MiB, SQLite's copy {size[SQLITE]:.1f}. SQLite's call"
        " copies pages, in the clear; ours reads rows, seals them, syncs the file, and notes of"
        " each version that a backup holds it.",
    ]
    return "\n".join(lines) + "\n"


def as_json(results: Results) -> str:
    """The same, for machines."""
    return json.dumps({"machine": machine(), **asdict(results)}, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
