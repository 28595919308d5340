"""The part that fuzzes: slice after slice, the target that had least next, until each had enough."""

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


def collect(run: Run) -> Figures:
    """Fuzz every target, or three of them for a moment; what each reached."""
    targets = names()
    state = {name: Progress.of(kept) for name, kept in run.kept().items() if name in targets}
    progress = {name: state.get(name, Progress()) for name in targets}
    enough = CPU_SECONDS / len(targets)
    while True:
        name = min(targets, key=lambda each: progress[each].cpu_seconds)
        if progress[name].cpu_seconds >= enough:
            break
        said = run_slice(name, progress[name], run.folder, SLICE_SECONDS)
        if said is not None:
            print(f"fuzzing: {name} ended with a finding\n{said}", file=sys.stderr)
        run.keep({each: progress[each].to_json() for each in targets})
        spent = sum(each.cpu_seconds for each in progress.values())
        run.progress(spent, CPU_SECONDS, f"CPU seconds, {name}")
        try:
            run.pause_if_due()
        except Paused:
            short = f"{spent / 3600:.1f} of {CPU_SECONDS / 3600:.0f} CPU-hours were run"
            return {**_figures(run, progress), "unfinished": short}
    return _figures(run, progress)


def _figures(run: Run, progress: dict[str, Progress]) -> dict[str, Any]:
    targets = {}
    for name, each in progress.items():
        corpus = run.folder / "corpus" / name
        sizes = [path.stat().st_size for path in corpus.iterdir()] if corpus.is_dir() else []
        targets[name] = {
            "about": about(name),
            "executions": each.executions,
            "edges": each.edges,
            "features": each.features,
            "cpu_hours": round(each.cpu_seconds / 3600, 3),
            "hours_since_last_edge": round(each.since_last_edge / 3600, 3),
            "inputs": len(sizes),
            "bytes": sum(sizes),
            "findings": each.findings,
        }
    failures = [
        f"{name}: {len(each.findings)} inputs fail" for name, each in progress.items() if each.findings
    ]
    return {"targets": targets, "failures": failures}
