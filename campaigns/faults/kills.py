"""Five thousand kills on each kind of store, a store at a time."""

from __future__ import annotations

import secrets
from collections import Counter
from contextlib import ExitStack
from dataclasses import fields
from functools import partial
from statistics import median
from typing import Final

from campaigns.faults.injecting import STORES
from campaigns.frame.campaign import Figures, Part
from campaigns.frame.run import Run
from tests.support import postgres
from tests.torture.run import KILLS_PER_PLACE, TortureFailedError, torture
from tests.torture.run import Figures as Kills

_KILLS: Final = 5_000
_SEED: Final = 1_000_000
_MOST_FAILURES: Final = 5


def parts() -> list[Part]:
    """One for each kind of store."""
    return [Part(f"kills, {store}", partial(_killed, store)) for store in STORES]


def _killed(store: str, run: Run) -> Figures:
    if run.quick:
        return {"left_out": "CI kills a hundred and fifty in make test-long"}
    state = {"stores": 0, "failures": [], **run.kept()}
    seen = from_json(state.get("kills", {}))
    with ExitStack() as stack:
        server = stack.enter_context(postgres.server()) if store == "PostgreSQL" else None

        def database() -> str:
            assert server is not None
            return postgres.create_database(server, f"t{secrets.token_hex(6)}")

        while seen.kills.total() < _KILLS and len(state["failures"]) < _MOST_FAILURES:
            try:
                torture(
                    min(KILLS_PER_PLACE, _KILLS - seen.kills.total()),
                    seed=_SEED * (1 + STORES.index(store)) + state["stores"],
                    database=None if server is None else database,
                    figures=seen,
                )
            except TortureFailedError as error:
                state["failures"].append(str(error)[:2000])
            state |= {"stores": state["stores"] + 1, "kills": as_json(seen)}
            run.keep(state)
            run.progress(seen.kills.total(), _KILLS, f"{len(state['failures'])} failures")
            run.pause_if_due()
    return {
        "killed": {_short(name): count for name, count in sorted(seen.kills.items())},
        "milliseconds": {
            _short(name): round(1000 * median(times)) for name, times in sorted(seen.usual.items())
        },
        "ended_before": seen.ended.total(),
        "beside_another": seen.beside,
        "whole_checks": seen.whole,
        "stores": state["stores"],
        "changes_left_open": dict(seen.resolved),
        "failures": state["failures"],
    }


def _short(name: str) -> str:
    return name.rpartition(", ")[0]


def as_json(seen: Kills) -> dict[str, object]:
    """What is kept of a run that goes on later."""
    found = {each.name: getattr(seen, each.name) for each in fields(seen)}
    return {
        name: dict(value) if isinstance(value, dict) else value for name, value in found.items()
    }


def from_json(kept: dict[str, object]) -> Kills:
    """The figures as they were kept: JSON has no counters."""
    found = {
        name: Counter(value) if isinstance(value, dict) and name != "usual" else value
        for name, value in kept.items()
    }
    return Kills(**found)  # type: ignore[arg-type]
