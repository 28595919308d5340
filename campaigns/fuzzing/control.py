"""The control: a planted fault, which chance does not find and coverage does."""

from __future__ import annotations

import time
from typing import Final

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Run
from campaigns.fuzzing.figures import Progress
from campaigns.fuzzing.running import run_slice

SECONDS: Final = 120  # it takes two or three, on a machine that does nothing else


def control(run: Run) -> Figures:
    """Fuzz the planted reader until its fault is found; a campaign that misses it says nothing."""
    progress = Progress()
    began = time.monotonic()
    said = run_slice("planted", progress, run.folder, SECONDS)
    found = said is not None and "the planted one" in said
    return {
        "executions": progress.executions,
        "seconds_to_find": round(time.monotonic() - began, 1),
        "failures": [] if found else ["the planted fault was not found"],
    }
