"""Model: every interleaving of what rotates, revokes, seals and opens, to a depth."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from campaigns.frame.campaign import Campaign, Figures, Part
from campaigns.frame.run import Run, write_whole
from campaigns.model.controls import CONTROLS
from campaigns.model.scenarios import SCENARIOS, Scenario
from campaigns.model.search import Search, Searched, ViolationError, shortened
from campaigns.model.section import section
from campaigns.model.system import System

_SECONDS: Final = 3600.0  # of work, for all scenarios together
_QUICK_SECONDS: Final = 1.0  # for each
_KEEP_SECONDS: Final = 60.0
_LONG, _BRIEF = 400, 15  # schedules that are run to find a shorter one
_MOST_STATES: Final = 3_000_000


# The controls ---------------------------------------------------------------------------------


def _controlled(run: Run) -> Figures:
    """Each fault that is put in is found, and its schedule is cut to what it takes."""
    found: dict[str, dict[str, Any]] = {}
    missed: list[str] = []
    for control in CONTROLS:
        scenario = control.scenario
        with _quiet(), scenario.system(alter=control.alter) as system:
            violation = _violation(Search(system), system, _BRIEF if run.quick else _LONG)
        if violation is None:
            missed.append(f"the search does not find {scenario.name}")
        else:
            found[scenario.name] = {"about": scenario.about, **violation}
    return {"controls": found, "failures": missed}


def _violation(search: Search[Any], system: System, effort: int) -> dict[str, Any] | None:
    try:
        search.run()
    except ViolationError as error:
        return _told(error, system, effort)
    return None


def _told(error: ViolationError, system: System, effort: int = _LONG) -> dict[str, Any]:
    def still(tried: list[int]) -> bool:
        return system.fails(tried) == error.what

    schedule = shortened(error.schedule, still, longest=effort)
    return {"what": error.what, "choices": len(schedule), "schedule": system.told(schedule)}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Of what the product warns an operator, here it would warn a hundred times a second."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


# The scenarios --------------------------------------------------------------------------------


def _searched(scenario: Scenario, run: Run) -> Figures:
    share = scenario.share / sum(each.share for each in SCENARIOS)
    budget = _QUICK_SECONDS if run.quick else _SECONDS * share
    kept = run.folder / "steps.json"  # of the code; the search itself is done anew in memory
    state = {"seconds": 0.0, **run.kept()}
    began, since = time.monotonic(), time.monotonic()
    steps = json.loads(kept.read_text()) if kept.exists() else None
    with _quiet(), scenario.system(kept=steps) as system:
        search = Search(system)

        def go_on(found: Searched) -> bool:
            nonlocal since
            spent = state["seconds"] + time.monotonic() - began
            if not run.quick and time.monotonic() - since > _KEEP_SECONDS:
                since = time.monotonic()
                write_whole(kept, json.dumps(system.kept()))
                run.keep({"seconds": spent})
                run.progress(spent, budget, f"s, {found.states:,} states, {system.steps:,} steps")
                run.pause_if_due()
            return bool(spent < budget)

        failures: list[str] = []
        violation: dict[str, Any] | None = None
        try:
            search.run(go_on=go_on, most_states=_MOST_STATES)
        except ViolationError as error:
            violation = _told(error, system)
            failures = [f"{violation['what']}: {' / '.join(violation['schedule'])}"]
        found = search.found
        return {
            "about": scenario.about,
            "actors": len(scenario.parts),
            "states": found.states,
            "transitions": found.transitions,
            "steps": system.steps,
            "executions": system.executions,
            "longest": found.longest,
            "complete_preemptions": found.complete,
            "by_preemptions": found.by_preemptions,
            "exhausted": found.exhausted,
            "violation": violation,
            "failures": failures,
        }


CAMPAIGN: Final = Campaign(
    name="model",
    about="every interleaving of schedulers, a writer, a reader and an operator, over a clock",
    page="reliability.md",
    parts=[
        Part("controls", _controlled),
        *(Part(each.name, partial(_searched, each)) for each in SCENARIOS),
    ],
    section=section,
)
