"""Run campaigns part by part, keep each that is finished, write results and pages."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path
from typing import Any

import cryptography
from cryptography.hazmat.backends.openssl.backend import backend

from campaigns.frame.campaign import Campaign, Figures, Part, Results
from campaigns.frame.pages import with_section
from campaigns.frame.run import Paused, Run, write_whole


def machine() -> str:
    kernel = platform.release().partition("-")[0]
    return (
        f"{cpu_count()} cores, {platform.machine()}, {platform.system()} {kernel},"
        f" CPython {platform.python_version()}, cryptography {cryptography.__version__},"
        f" {backend.openssl_version_text()}"
    )


def run(
    campaign: Campaign,
    work: Path,
    *,
    quick: bool,
    parts: Sequence[str] = (),
    until: float | None = None,
    again: bool = False,
) -> Results:
    """Run the parts that are not finished yet; the results hold those that are, and of one that was
    ended what it says of itself.

    Quick runs begin anew each time. ``parts`` names the only ones to run; ``again`` runs those that
    are finished too, with what they kept. The folder ``work`` holds what survives a restart.
    """
    place = work / ("quick" if quick else "full") / campaign.name
    if quick:
        shutil.rmtree(place, ignore_errors=True)
    kept = place / "finished.json"
    finished: dict[str, Figures] = json.loads(kept.read_text()) if kept.exists() else {}
    for part in campaign.parts:
        is_over = not again and part.name in finished and "unfinished" not in finished[part.name]
        if is_over or (parts and part.name not in parts):
            continue
        figures = _worked(campaign, part, place / part.name, quick, until)
        if figures is None:
            break
        finished[part.name] = figures
        write_whole(kept, json.dumps(finished))
        if "unfinished" in figures:
            break
    ordered = {part.name: finished[part.name] for part in campaign.parts if part.name in finished}
    return Results(
        campaign=campaign.name,
        machine=machine(),
        ended=datetime.now(UTC).date().isoformat(),
        seconds=round(sum(figures["seconds"] for figures in ordered.values()), 1),
        parts=ordered,
    )


def _worked(
    campaign: Campaign, part: Part, folder: Path, quick: bool, until: float | None
) -> Figures | None:
    """A part's figures with its ``seconds``, those of former runs included; None: it paused."""
    spent = folder / "seconds.json"
    before: float = json.loads(spent.read_text()) if spent.exists() else 0.0
    began = time.monotonic()
    title = f"{campaign.name} / {part.name}"
    print(f"{title} ...", file=sys.stderr, flush=True)
    figures: dict[str, Any] | None = None
    try:
        figures = part.work(Run(title, folder, quick=quick, until=until))
    except Paused:
        print(f"{title}: paused; the same command goes on", file=sys.stderr, flush=True)
    finally:  # whatever ended it, the time was spent
        seconds = before + time.monotonic() - began
        write_whole(spent, json.dumps(seconds))
    return None if figures is None else {**figures, "seconds": round(seconds, 1)}


def publish(campaign: Campaign, results: Results, docs: Path) -> None:
    """Write docs/campaigns/NAME.json, the plots beside it, and the campaign's section."""
    folder = docs / "campaigns"
    write_whole(folder / f"{campaign.name}.json", results.to_json())
    if campaign.plots is not None:
        campaign.plots(results, folder)
    page = docs / campaign.page
    write_whole(page, with_section(page.read_text(), campaign.name, campaign.section(results)))
