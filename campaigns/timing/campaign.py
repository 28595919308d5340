"""How long refusals take, in process and over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from campaigns.frame.campaign import Campaign, Figures, Part
from campaigns.timing import in_process, over_http
from campaigns.timing.cases import comparisons, credentials, messages, proofs, reach, requests
from campaigns.timing.measuring import Sampler, failures, measure
from campaigns.timing.place import place
from campaigns.timing.plots import plots
from campaigns.timing.section import PARTS, section

if TYPE_CHECKING:
    from campaigns.frame.run import Run
    from campaigns.timing.group import Group
    from campaigns.timing.place import Place

IN_PROCESS: Final = 500_000  # samples of each class: a pair has twice as many
OVER_HTTP: Final = 50_000
_QUICK_IN_PROCESS: Final = 300
_QUICK_OVER_HTTP: Final = 80
_QUICK_DELAYS: Final = (20_000, 4_000_000)  # nanoseconds, in process and over HTTP
_DEV: Final = Path(__file__).parents[2] / "configs" / "dev.json"


def _in_process(groups: Callable[[Place], list[Group]]) -> Callable[[Run], Figures]:
    def work(run: Run) -> Figures:
        with place() as there, in_process.undisturbed():
            sample = in_process.sample
            return _measured(run, groups(there), sample, IN_PROCESS, _QUICK_IN_PROCESS, 20_000)

    return work


def _over_http(run: Run) -> Figures:
    return _served(run, cold=False)


def _cold(run: Run) -> Figures:
    return _served(run, cold=True)


def _served(run: Run, *, cold: bool) -> Figures:
    settings = json.loads(_DEV.read_text())
    settings["server"]["request_signing"] = "optional"
    if cold:
        settings |= requests.COLD
    config = run.folder / "config.json"
    config.write_text(json.dumps(settings))
    with place() as there:
        cold_groups = requests.cold_groups(there, quick=run.quick) if cold else []
        there.keyring.refresh()
        with over_http.served(there, config) as (host, sampler), in_process.undisturbed():
            groups = cold_groups or requests.groups(there, host)
            return _measured(run, groups, sampler, OVER_HTTP, _QUICK_OVER_HTTP, 2_000)


def _measured(
    run: Run, groups: list[Group], sampler: Sampler, full: int, brief: int, batch: int
) -> Figures:
    found: dict[str, Any] = {}
    missed: list[str] = []
    for group in groups:
        each, least = full, 0
        if run.quick:
            each, least = brief, _QUICK_DELAYS[full == OVER_HTTP]
            group = replace(group, delays=(least,))
            batch = each * len(group.names)
        figures = found[group.name] = measure(run, group, sampler, each=each, batch=batch)
        missed += failures(group.name, figures, least=least)
    return {"groups": found, "failures": missed}


_WORKS: Final = (
    _in_process(lambda _: comparisons.groups()),
    _in_process(credentials.groups),
    _in_process(proofs.groups),
    _in_process(messages.groups),
    _in_process(reach.groups),
    _over_http,
    _cold,
)

CAMPAIGN: Final = Campaign(
    name="timing",
    about="what the time of a refusal tells of its reason",
    page="security_testing.md",
    parts=[Part(name, work) for name, work in zip(PARTS, _WORKS, strict=True)],
    section=section,
    plots=plots,
)
