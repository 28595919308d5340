"""The part that fuzzes: slice after slice, the target that had least next, until all had enough."""

from __future__ import annotations

import sys
from typing import Any, Final

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Paused, Run
from campaigns.fuzzing.figures import Progress
from campaigns.fuzzing.running import run_slice
from campaigns.fuzzing.targets import about, names

CPU_SECONDS: Final = 4 * 3600  # of all targets together
SLICE_SECONDS: Final = 60
QUICK: Final = ("columns", "names")  # CI fuzzes all of them in a step of its own


def collect(run: Run) -> Figures:
    """Fuzz every target, or two of them for a moment; what each reached."""
    targets = list(QUICK) if run.quick else names()
    kept = run.kept()
    progress = {name: Progress.of(kept.get(name, {})) for name in targets}
    enough = 0.1 if run.quick else CPU_SECONDS / len(targets)
    while True:
        name = min(targets, key=lambda each: progress[each].cpu_seconds)
        if progress[name].cpu_seconds >= enough:
            return _figures(run, progress)
        said = run_slice(name, progress[name], run.folder, 1 if run.quick else SLICE_SECONDS)
        if said is not None:
            print(f"fuzzing: {name} ended with a finding\n{said}", file=sys.stderr)
        run.keep({each: progress[each].to_json() for each in targets})
        spent = sum(each.cpu_seconds for each in progress.values())
        run.progress(spent, enough * len(targets), f"CPU seconds, {name}")
        try:
            run.pause_if_due()
        except Paused:
            short = f"{spent / 3600:.2f} of {CPU_SECONDS / 3600:.0f} CPU-hours were run so far"
            return {**_figures(run, progress), "unfinished": short}


def _figures(run: Run, progress: dict[str, Progress]) -> dict[str, Any]:
    targets, failures = {}, []
    for name, each in progress.items():
        corpus = run.folder / "corpus" / name
        sizes = [path.stat().st_size for path in corpus.iterdir()] if corpus.is_dir() else []
        targets[name] = {
            "about": about(name),
            "executions": each.executions,
            "edges": each.edges,
            "features": each.features,
            "cpu_hours": round(each.cpu_seconds / 3600, 4),
            "hours_since_last_edge": round(each.since_last_edge / 3600, 4),
            "inputs": len(sizes),
            "bytes": sum(sizes),
            "findings": each.findings,
        }
        if each.findings:
            failures.append(f"{name}: {len(each.findings)} inputs fail")
        if run.quick and not each.edges:
            failures.append(f"{name}: no edge was counted")
    return {"targets": targets, "failures": failures}
