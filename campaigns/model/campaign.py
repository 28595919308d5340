"""Model: every interleaving of what rotates, revokes, seals and opens, to a depth."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import mycelium_fractal_net
from campaigns.frame.campaign import Campaign, Figures, Part
from campaigns.frame.run import Paused, Run, write_whole
from campaigns.model.controls import CONTROLS
from campaigns.model.scenarios import SCENARIOS, Scenario
from campaigns.model.search import Search, Searched, ViolationError, shortened
from campaigns.model.section import section
from campaigns.model.system import System

_SECONDS: Final = 3600.0  # of CPU, for all scenarios together
_QUICK_SECONDS: Final = 0.5  # for each
_ROUNDS: Final = 6
_KEEP_SECONDS: Final = 5.0  # of CPU
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


def _searched(run: Run) -> Figures:
    """All scenarios, in rounds of which each goes twice as far as the one before.

    What is kept are the steps of the code: a search that goes on is done anew in memory, quickly.
    """
    state = {"spent": {}, "found": {}, **run.kept()}
    for halved in (0,) if run.quick else reversed(range(_ROUNDS)):
        for scenario in SCENARIOS:
            full = _QUICK_SECONDS if run.quick else _SECONDS * _share(scenario)
            last = state["found"].get(scenario.name, {})
            if last.get("exhausted") or last.get("failures"):
                continue
            try:
                _goes_on(scenario, full / 2**halved, run, state)
            except Paused:
                return {**_figures(state), "unfinished": _so_far(state)}
    return _figures(state)


def _share(scenario: Scenario) -> float:
    return scenario.share / sum(each.share for each in SCENARIOS)


def _figures(state: dict[str, Any]) -> Figures:
    found = state["found"]
    failures = [f"{name}: {each}" for name in found for each in found[name]["failures"]]
    return {"scenarios": found, "cpu_seconds": state["spent"], "failures": failures}


def _so_far(state: dict[str, Any]) -> str:
    spent = sum(state["spent"].values())
    return f"{spent / 60:.0f} of {_SECONDS / 60:.0f} minutes of CPU"


def _goes_on(scenario: Scenario, budget: float, run: Run, state: dict[str, Any]) -> None:
    """Search until that many seconds of CPU were spent on the scenario, former ones included."""
    before = state["spent"].get(scenario.name, 0.0)
    if before >= budget:
        return
    steps = run.folder / f"{scenario.name}.json"
    kept = json.loads(steps.read_text()) if steps.exists() else None
    if kept is not None and kept["code"] != _code():
        kept = None  # what other code did says nothing of this
    began = kept_at = time.process_time()
    with _quiet(), scenario.system(kept=kept) as system:
        search = Search(system)

        def keep() -> None:
            state["spent"][scenario.name] = before + time.process_time() - began
            if not run.quick:
                write_whole(steps, json.dumps({**system.kept(), "code": _code()}))
                run.keep(state)

        def go_on(found: Searched) -> bool:
            nonlocal kept_at
            now = time.process_time()
            if now - kept_at > _KEEP_SECONDS:
                kept_at = now
                if found.states >= state["found"].get(scenario.name, {}).get("states", 0):
                    state["found"][scenario.name] = _found(scenario, search, system, None)
                keep()
                doing = f"s of CPU for {scenario.name}, {found.states:,} states"
                run.progress(before + now - began, budget, doing)
                run.pause_if_due()
            return bool(before + now - began < budget)

        violation: dict[str, Any] | None = None
        try:
            search.run(go_on=go_on, most_states=_MOST_STATES)
        except ViolationError as error:
            violation = _told(error, system)
        state["found"][scenario.name] = _found(scenario, search, system, violation)
        keep()
    run.pause_if_due()


@cache
def _code() -> str:
    """A digest of the code that is searched, and of what searches it."""
    digest = blake2b(digest_size=16)
    for folder in (Path(mycelium_fractal_net.__file__).parent / "security", Path(__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _found(
    scenario: Scenario,
    search: Search[Any],
    system: System,
    violation: dict[str, Any] | None,
) -> dict[str, Any]:
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
        "by_preemptions": list(found.by_preemptions),
        "exhausted": found.exhausted,
        "violation": violation,
        "failures": []
        if violation is None
        else [f"{violation['what']}: {' / '.join(violation['schedule'])}"],
    }


CAMPAIGN: Final = Campaign(
    name="model",
    about="every interleaving of schedulers, a writer, a reader and an operator, over a clock",
    page="reliability.md",
    parts=[
        Part("controls", _controlled),
        Part("schedules", _searched),
    ],
    section=section,
)
