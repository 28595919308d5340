"""Every technique at every door: alone, behind nginx, behind HAProxy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from campaigns.misuse.control import naive
from campaigns.misuse.h2_techniques import H2Technique, h2_techniques
from campaigns.misuse.heads import techniques
from campaigns.misuse.places import BINARIES, place, work_folder
from campaigns.misuse.smuggling import DIFFERS, judged
from campaigns.misuse.techniques import GET, Technique

if TYPE_CHECKING:
    from campaigns.frame.campaign import Figures
    from campaigns.frame.run import Run
    from campaigns.misuse.places import Place

_PATIENCE_SECONDS: Final = 5.0
_QUICK: Final = {"alone": 12, "nginx": 6, "haproxy": 6}  # techniques at each door


def installed() -> tuple[str, ...]:
    """The proxies that are there."""
    return tuple(name for name, path in BINARIES.items() if Path(path).exists())


def sent_at(door: str) -> Sequence[Technique | H2Technique]:
    """What is tried at a door: the service itself speaks no HTTP/2."""
    return techniques() if door == "alone" else [*techniques(), *h2_techniques()]


def control() -> list[str]:
    """What is wrong with the oracle: it finds a pair that disagrees, and passes a good one."""
    faults = []
    with naive() as (door, log):
        good = Technique("control", "good", (GET + b"\r\n",))
        if judged(good, door, lambda: log, b"").reading == DIFFERS:
            faults.append("control: a good request was taken for a smuggled one")
        first = next(
            each for each in techniques() if each.family == "CL.TE" and each.name == "plain"
        )
        if judged(first, door, lambda: log, b"").reading != DIFFERS:
            faults.append(
                "control: CL.TE between a front and a service that disagree was not found"
            )
    return faults


def work(run: Run) -> Figures:
    """The verdict on each technique at each door."""
    failures = control()
    doors: dict[str, dict[str, Any]] = run.kept().get("doors", {})
    missing = sorted(set(BINARIES) - set(installed()))
    if missing and (os.environ.get("CI") or not run.quick):
        failures.append(f"not installed: {', '.join(missing)}")
    folder = work_folder()
    try:
        with place(folder / "place", installed()) as there:
            for name in there.doors:
                if name not in doors:
                    doors[name] = {"verdicts": _verdicts(run, there, name)}
                    run.keep({"doors": doors})
                    run.pause_if_due()
    finally:
        shutil.rmtree(folder)
    for name, found in doors.items():
        for family, one, reading, statuses, why in found["verdicts"]:
            if reading == DIFFERS:
                failures.append(f"{name}: {family}, {one}: {statuses} {why}")
    return {"doors": doors, "missing": missing, "failures": failures}


def _verdicts(run: Run, there: Place, name: str) -> list[list[object]]:
    door, wanted = there.doors[name], sent_at(name)
    if run.quick:
        wanted = wanted[:: max(1, len(wanted) // _QUICK[name])]
    found: list[list[object]] = []
    for each in wanted:
        verdict = judged(each, door, there.entries, there.api_key)
        if verdict.reading == DIFFERS:  # on a busy machine an answer may only have been late
            verdict = judged(each, door, there.entries, there.api_key, patience=_PATIENCE_SECONDS)
        statuses = " ".join(map(str, verdict.statuses))
        by = {"the service": "service", "the proxy": "proxy"}.get(verdict.by, "")
        found.append(
            [each.family, each.name, verdict.reading, f"{statuses} {by}".strip(), verdict.why]
        )
        run.progress(len(found), len(wanted), name)
    return found
