"""The tests of clocks, networks, backends, disks and memory, at full length.

Each is one of ``make test-long``, which runs them short; here the numbers are those of the pages.
A function of a test module is one step, and what is done is kept.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as Xml

from campaigns.frame.campaign import Figures, Part
from campaigns.frame.run import Run

_ROOT: Final = Path(__file__).parents[2]
_INTEGRATION: Final = "tests/integration/"


@dataclass(frozen=True, slots=True)
class Story:
    """Test modules, how often they do what they do, and what is seen where they pass."""

    name: str
    modules: Sequence[str]
    often: str
    seen: str
    environment: Mapping[str, str] = field(default_factory=dict)


STORIES: Final[tuple[Story, ...]] = (
    Story(
        "clocks",
        ("test_rotation_processes.py", "../security/lifecycle/test_years.py",
         "../security/lifecycle/test_clocks.py"),
        "1,000 due times for 16 schedulers in 16 processes, on each kind of store; three years",
        "one rotation for each due time, whatever the clocks did",
        {"MFN_TEST_ROTATIONS": "1000"},
    ),
    Story(
        "custodians",
        ("test_custodian_faults.py", "test_custodian_outage.py"),
        "1,000 operations under each fault of OpenBao, AWS KMS and a token",
        "no wrong result, none later than its deadline, one line in the log",
        {"MFN_TEST_FAULTS": "1000"},
    ),
    Story(
        "stores out of reach",
        ("test_store_causes.py", "test_service_freshness.py", "test_service_not_writable.py"),
        "each cause on both kinds of store, PgBouncer and a replica among them",
        "the cause named; what is cached used for five seconds at most",
    ),
    Story(
        "disks under the audit log",
        ("test_service_audit_faults.py",),
        "a full disk, a sync that lies, a segment that is deleted",
        "no answer without its record; it heals by itself",
    ),
    Story(
        "backups under load",
        ("test_backup_restored.py",),
        "20 backups beside two writers and two rotating processes, on each kind of store",
        "all that was sealed before a backup opens from it",
        {"MFN_TEST_BACKUPS": "20"},
    ),
    Story(
        "bulk work that is killed",
        ("test_columns_killed.py", "test_files_killed.py", "test_migrate_killed.py",
         "test_rewrap_killed.py"),
        "folders and columns, killed and interrupted at random moments",
        "each file and row opens; the next run goes on",
    ),
    Story(
        "services that are killed",
        ("test_service_killed.py", "test_service_workers.py", "test_service_shutdown.py"),
        "kill -9 of parents, workers and the whole service under load",
        "each answer has its record; workers come back, or go with their parent",
    ),
    Story(
        "clients and memory limits",
        ("test_front_door_stalled.py", "test_front_door_memory.py", "test_front_door_rates.py"),
        "1,000 connections that stall; bodies and answers beyond the memory that is allowed",
        "honest requests are answered, memory stays below its limit",
        {"MFN_TEST_STALLED": "1000"},
    ),
    Story(
        "replays",
        ("test_signed_replays.py",),
        "100,000 requests sent again, and again after a kill",
        "each was accepted once",
        {"MFN_TEST_REPLAYS": "100000"},
    ),
)  # fmt: skip


def parts() -> list[Part]:
    """One for each story."""
    return [Part(story.name, partial(_told, story)) for story in STORIES]


def _told(story: Story, run: Run) -> Figures:
    if run.quick:
        return {"left_out": "CI runs them in make test-long"}
    state = {"steps": {}, **run.kept()}
    every = steps(story)
    for number, step in enumerate(every, 1):
        if step not in state["steps"]:
            state["steps"][step] = _ran(step, story.environment, run.folder)
            run.keep(state)
            run.progress(number, len(every), step.rpartition("/")[2])
            run.pause_if_due()
    found = state["steps"].values()
    return {
        "often": story.often,
        "seen": story.seen,
        "tests": sum(each["passed"] for each in found),
        "skipped": sum(each["skipped"] for each in found),
        "busy_seconds": round(sum(each["seconds"] for each in found)),
        "failures": [failure for each in found for failure in each["failures"]],
    }


def steps(story: Story) -> list[str]:
    """The test functions of its modules, each with all of its parameters."""
    there = [(_ROOT / _INTEGRATION / each).resolve() for each in story.modules]
    return [
        f"{path.relative_to(_ROOT)}::{name}"
        for path in there
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
    ]


def _ran(step: str, environment: Mapping[str, str], folder: Path) -> dict[str, object]:
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=7200",
         f"--junitxml={report}", step],
        cwd=_ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not report.exists():
        return {"passed": 0, "skipped": 0, "seconds": 0.0, "failures": [done.stdout[-2000:]]}
    failures: list[str] = []
    counts = {"passed": 0, "skipped": 0}
    for case in Xml.parse(report).iter("testcase"):
        bad = [each for each in case if each.tag in ("failure", "error")]
        skipped = any(each.tag == "skipped" for each in case)
        failures += [f"{case.get('name')}: {str(each.get('message'))[:500]}" for each in bad]
        counts["skipped"] += skipped
        counts["passed"] += not bad and not skipped
    return {**counts, "seconds": time.monotonic() - began, "failures": failures}
