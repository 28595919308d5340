"""The positive control: what is planted in a place in each form is found there in each form."""

from __future__ import annotations

import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Run
from campaigns.leakage import cores, memory
from campaigns.leakage.encodings import forms
from campaigns.leakage.search import HALF, Hit, Marker, Searcher

_WAITS = "import sys; print(flush=True); sys.stdin.readline()"
# Whatever its arguments say it holds, and half of a secret, in memory that is its own.
_HOLDS = """
import sys
held = [bytearray(bytes.fromhex(line)) for line in sys.stdin.readline().split()]
print("ready", flush=True)
sys.stdin.readline()
"""


def planted(run: Run) -> Figures:
    """Every place, every form. Where one is missed the counts of the others say nothing."""
    marker = Marker("planted", secrets.token_bytes(32))
    searcher = Searcher([marker], halves=True)
    written = {**forms(marker.value), HALF: marker.value[16:]}
    found: dict[str, Figures] = {}
    for place, look in _PLACES.items():
        folder = run.folder / place.replace(" ", "-").replace("/", "-")
        folder.mkdir(exist_ok=True)
        seen = {hit.form for hit in look(folder, written, searcher)}
        asked = {name for name, form in written.items() if place not in _TEXT or b"\0" not in form}
        found[place] = {"planted": len(asked), "missed": sorted(asked - seen)}
    failures = [
        f"planted in {place} and not found: {', '.join(each['missed'])}"
        for place, each in found.items()
        if each["missed"]
    ]
    return {"places": found, "failures": failures}


def _in_a_file(folder: Path, written: dict[str, bytes], searcher: Searcher) -> Iterator[Hit]:
    (folder / "file").write_bytes(b"\n".join(written.values()))
    return searcher.file(folder / "file")


def _in_a_database(folder: Path, written: dict[str, bytes], searcher: Searcher) -> Iterator[Hit]:
    """In SQLite's write-ahead log, while a connection is open that keeps it there."""
    database = sqlite3.connect(folder / "store.db")
    try:
        database.execute("PRAGMA journal_mode = wal")
        database.execute("CREATE TABLE IF NOT EXISTS planted (value BLOB)")
        database.executemany(
            "INSERT INTO planted VALUES (?)", [(each,) for each in written.values()]
        )
        database.commit()
        yield from searcher.file(folder / "store.db-wal")
    finally:
        database.close()


def _in_memory(_: Path, written: dict[str, bytes], searcher: Searcher) -> Iterator[Hit]:
    with _holding(written) as pid:
        yield from memory.hits(pid, searcher)


def _in_a_core(folder: Path, written: dict[str, bytes], searcher: Searcher) -> Iterator[Hit]:
    with _holding(written) as pid:
        yield from searcher.file(cores.dumped(pid, folder))


def _of_its_arguments(_: Path, written: dict[str, bytes], searcher: Searcher) -> Iterator[Hit]:
    text = [each for each in written.values() if b"\0" not in each]
    with subprocess.Popen(
        [sys.executable.encode(), b"-c", _WAITS.encode(), *text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield from searcher.hits(Path(f"/proc/{process.pid}/cmdline").read_bytes())
        process.communicate(b"\n")


def _of_its_environment(_: Path, written: dict[str, bytes], searcher: Searcher) -> Iterator[Hit]:
    text = [each for each in written.values() if b"\0" not in each]
    environment = {f"PLANTED_{number}".encode(): each for number, each in enumerate(text)}
    with subprocess.Popen(
        [sys.executable, "-c", _WAITS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environb, **environment},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield from searcher.hits(Path(f"/proc/{process.pid}/environ").read_bytes())
        process.communicate(b"\n")


def _in_a_traceback(folder: Path, written: dict[str, bytes], searcher: Searcher) -> Iterator[Hit]:
    """One that shows what local variables hold, on a standard error that is a file."""
    shown = ("raw", "repr", "hex", "base64+0")
    program = (
        "import sys, traceback\n"
        "def fail(raw, hexadecimal, text):\n    raise ValueError(raw)\n"
        "raw = sys.stdin.buffer.read()\n"
        "try:\n    import base64; fail(raw, raw.hex(), base64.b64encode(raw))\n"
        "except ValueError:\n"
        "    sys.stderr.buffer.write(raw + b'\\n')\n"
        "    found = traceback.TracebackException(*sys.exc_info(), capture_locals=True)\n"
        "    sys.stderr.write(''.join(found.format()))\n"
    )
    file = folder / "stderr"
    with file.open("wb") as stderr:
        subprocess.run(
            [sys.executable, "-c", program], input=written["raw"], stderr=stderr, check=True
        )
    found = {hit.form for hit in searcher.file(file)}
    # What such a traceback does not write counts as found where what it writes was.
    return iter([Hit("planted", form, 0) for form in written] if found >= {*shown} else [])


@contextmanager
def _holding(written: dict[str, bytes]) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b" ".join(each.hex().encode() for each in written.values()) + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        yield process.pid
        process.communicate(b"\n")


_Look = Callable[[Path, dict[str, bytes], Searcher], Iterator[Hit]]
_PLACES: dict[str, _Look] = {
    "a file": _in_a_file,
    "the log of a database": _in_a_database,
    "memory": _in_memory,
    "a core dump": _in_a_core,
    "/proc/PID/cmdline": _of_its_arguments,
    "/proc/PID/environ": _of_its_environment,
    "a traceback with local variables": _in_a_traceback,
}
_TEXT = ("/proc/PID/cmdline", "/proc/PID/environ")  # which hold no zero byte
