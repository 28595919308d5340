"""The tests with markers for keys and credentials, and a search of all that each of them left."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Run

ROOT = Path(__file__).parents[2]
_MAY_HOLD_NONE: Final = ("files: *.jsonl", "files: *.db", "files: *.db-wal", "Captured log")
"""Audit segments, stores and logs. Output and other files are where tests put what they made."""


def suite(run: Run) -> Figures:
    """All but the long tests; not in the quick form. MFN_TEST_LEAKAGE_TESTS names some of them."""
    if run.quick:
        return {"tests": 0}
    named = os.environ.get("MFN_TEST_LEAKAGE_TESTS", "tests").split()
    (run.folder / "tag").write_bytes(secrets.token_bytes(12))
    for each in run.folder.glob("found-*.json"):
        each.unlink()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "not long"),
            *("-p", "campaigns.leakage.plugin", *named),
        ],
        cwd=ROOT,
        env={**os.environ, "MFN_TEST_LEAKAGE": str(run.folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    (run.folder / "output").write_text(done.stdout + done.stderr)
    looked: Counter[str] = Counter()
    found: dict[str, Counter[str]] = {}
    where: dict[str, str] = {}
    drawn = 0
    for each in run.folder.glob("found-*.json"):
        figures = json.loads(each.read_text())
        looked.update(figures["looked"])
        drawn += figures["drawn"]
        where = {**figures["where"], **where}
        for place, counts in figures["found"].items():
            found.setdefault(place, Counter()).update(counts)
    places = [
        {"place": place, "count": looked[place], "found": dict(counts)}
        for place, counts in sorted(found.items())
    ]
    failures = [
        f"{each['found']} in {each['place']}"
        for each in places
        if each["found"] and str(each["place"]).startswith(_MAY_HOLD_NONE)
    ]
    if not drawn or not looked["tests"]:
        failures.append("no test was run with markers")
    return {
        "named": named,
        "tests": looked["tests"],
        "bytes": looked["bytes"],
        "drawn": drawn,
        "ended": done.stdout.strip().splitlines()[-1:] or done.stderr[-200:],
        "places": places,
        "where": where,
        "failures": failures,
    }
