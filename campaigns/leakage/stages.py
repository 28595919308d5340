"""The memory of a process that uses the library, at each stage of the life of its keys.

The same program runs over this source, and over that of a commit before buffers were wiped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Run
from campaigns.leakage import memory
from campaigns.leakage.search import HALF, Searcher, by_kind_and_form
from campaigns.leakage.stores import made, secrets_in

ROOT = Path(__file__).parents[2]
BEFORE = "eb40d40"
"""The last commit in which no key was wiped; ``git archive`` has its source."""
GONE = ("after close", "after the keyring is gone", "at exit")
_IN_USE = {"after eviction": {"master key"}}
"""What may be there then, since it is in use: by stage. Opening and using load all of them."""


def with_this_source(run: Run) -> Figures:
    """The stages; after eviction and close no key may be there whole."""
    rounds = 1 if run.quick else 5
    stages = looked_at(run.folder, ROOT / "src", rounds=rounds)
    failures = [
        f"{each['stage']}: {kind} is in memory as {form}, {count} times"
        for each in stages
        if each["stage"] in (*GONE, *_IN_USE)
        for kind, forms in each["found"].items()
        if kind not in _IN_USE.get(each["stage"], ())
        for form, count in forms.items()
        if form != HALF
    ]
    return {"stages": stages, "rounds": rounds, "failures": failures}


def with_the_source_before(run: Run) -> Figures:
    """The same stages with the source of :data:`BEFORE`; nothing is asked of them."""
    if run.quick:
        return {"stages": [], "commit": BEFORE}
    source = run.folder / "source"
    source.mkdir(exist_ok=True)
    archive = subprocess.run(
        ["git", "archive", BEFORE, "src"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", source], input=archive, check=True)
    return {"stages": looked_at(run.folder, source / "src", rounds=5), "commit": BEFORE}


def looked_at(folder: Path, source: Path, *, rounds: int) -> list[Figures]:
    """What is found at each stage: of ``rounds`` stores and processes the most that any had."""
    stages: dict[str, Figures] = {}
    for number in range(rounds):
        home = folder / f"{source.parent.name}-{number}-{os.getpid()}" / "home"
        made(home)
        for stage in _one(home, source):
            known = stages.setdefault(stage["stage"], stage)
            for kind, forms in stage["found"].items():
                most = known["found"].setdefault(kind, {})
                for form, count in forms.items():
                    most[form] = max(most.get(form, 0), count)
    return list(stages.values())


def _one(home: Path, source: Path) -> list[Figures]:
    searcher = Searcher(secrets_in(home), halves=True)
    configuration = home.parent / "config.json"
    configuration.write_text(json.dumps({"keyring": {"cache_keys": 8}}))
    path = os.pathsep.join((str(source), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": path, "MFN_CONFIG": str(configuration)}
    found = []
    with subprocess.Popen(
        [sys.executable, "-m", "campaigns.leakage.holder", str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=home.parent,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        while stage := holder.stdout.readline().strip():
            hits = memory.hits(holder.pid, searcher)
            size = memory.megabytes(holder.pid)
            found.append({"stage": stage, "megabytes": size, "found": by_kind_and_form(hits)})
            holder.stdin.write("\n")
            holder.stdin.flush()
    if holder.returncode:
        raise RuntimeError(f"the process ended with {holder.returncode}")
    return found
