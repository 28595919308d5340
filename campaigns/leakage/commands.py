"""The commands that take secrets, right and wrong, with --debug too; then a search of it all."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from pathlib import Path
from subprocess import run as started
from sys import executable

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Run
from campaigns.leakage.search import Marker, Searcher, files_below
from campaigns.leakage.stores import secrets_in

ROOT = Path(__file__).parents[2]
_FIRST = ["init"]
_SHOWS = ("credential create",)
"""Commands whose standard output is to hold a secret: it is shown once."""
_MADE_TO_HOLD = ("passphrase", "plain", "opened", "garbage")
"""Files of the experiment itself, and what the commands were told to write plaintext to."""


def commands(run: Run) -> Figures:
    """Each as a process of its own; in the quick form the few that differ most."""
    folder = run.folder / f"work-{os.getpid()}"
    folder.mkdir()
    markers = {
        kind: Marker(kind, secrets.token_hex(20).upper().encode())
        for kind in ("passphrase", "plaintext", "associated data", "wrong argument")
    }
    text = {kind: marker.value.decode() for kind, marker in markers.items()}
    (folder / "passphrase").write_text(text["passphrase"])
    (folder / "plain").write_text(text["plaintext"])
    (folder / "passphrase").chmod(0o600)
    said: dict[str, tuple[int, bytes, bytes]] = {}
    for line in _lines(quick=run.quick):
        said[" ".join(line)] = _ran(folder, line, text)
    if said[" ".join(_FIRST)][0]:
        raise RuntimeError(said[" ".join(_FIRST)][2].decode())
    found = _searched(folder, list(markers.values()), said)
    failures = [f"{kind} is in {place}" for place, kinds in found.items() for kind in kinds]
    unexpected = [
        f"mfn {line} ended with {code}: {err.decode(errors='replace').strip()}"
        for line, (code, _, err) in said.items()
        if code and not line.startswith("--debug") and "GARBAGE" not in line
    ]
    return {
        "commands": len(said),
        "ended with": dict(Counter(str(code) for code, _, _ in said.values())),
        "found": found,
        "failures": failures + unexpected,
    }


def _lines(*, quick: bool) -> list[list[str]]:
    """What is in capitals is filled in: AD, the markers' files, and a message that is none."""
    few = [
        _FIRST,
        ["encrypt", "plain", "-o", "sealed", "-a", "AD"],
        ["--debug", "decrypt", "GARBAGE", "-o", "never"],
    ]
    if quick:
        return few
    return [
        *few,
        ["decrypt", "sealed", "-o", "opened", "-a", "AD"],
        ["--debug", "decrypt", "sealed", "-o", "never", "-a", "WRONG"],
        ["key", "create", "release", "--type", "signing"],
        ["sign", "plain", "-k", "release"],
        ["credential", "create", "reader", "--scope", "encrypt:*"],
        ["--debug", "credential", "create", "reader", "--scope", "WRONG"],
        ["--debug", "key", "create", "WRONG"],
        ["doctor", "--json"],
        ["backup", "backup.mfn"],
        ["backup", "--verify", "backup.mfn"],
        ["audit", "verify"],
    ]


def _ran(folder: Path, line: list[str], text: dict[str, str]) -> tuple[int, bytes, bytes]:
    garbage = folder / "garbage"
    garbage.write_text(f"MFN\x01{text['plaintext']}")
    filled = {
        "AD": text["associated data"],
        "WRONG": text["wrong argument"],
        "GARBAGE": str(garbage),
    }
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "src"),
        "TMPDIR": str(folder),
        "MFN_MASTER_PASSPHRASE_FILE": str(folder / "passphrase"),
    }
    done = started(
        [executable, "-m", "mycelium_fractal_net", "--home", str(folder / "home")]
        + [filled.get(each, each) for each in line],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
        stdin=-3,
    )
    return done.returncode, done.stdout, done.stderr


def _searched(
    folder: Path, markers: list[Marker], said: dict[str, tuple[int, bytes, bytes]]
) -> dict[str, dict[str, int]]:
    passphrase = (folder / "passphrase").read_bytes()
    searcher = Searcher([*markers, *secrets_in(folder / "home", (), passphrase=passphrase)])
    found: dict[str, Counter[str]] = {}
    for line, (_, out, err) in said.items():
        found.setdefault("standard error", Counter()).update(h.kind for h in searcher.hits(err))
        if not line.startswith(_SHOWS):
            found.setdefault("standard output", Counter()).update(
                hit.kind for hit in searcher.hits(out)
            )
    files = found.setdefault("files", Counter())
    for path in files_below(folder):
        if path.name not in _MADE_TO_HOLD:
            files.update(hit.kind for hit in searcher.file(path))
    return {place: dict(counts) for place, counts in found.items()}
