"""What the pictures of campaigns draw."""

from __future__ import annotations

from campaigns.frame.campaign import Results
from campaigns.frame.plots import CONTROL, LIMIT, OURS
from campaigns.timing.plots import curves


def test_each_pair_is_drawn_as_what_it_is() -> None:
    """What was put there, what has a cause and what must not differ have colours of their own."""
    curve = [(25_000, 1.5), (50_000, 2.0)]
    found = {
        "pairs": [
            {"a": "known", "b": "unknown"},
            {"a": "known", "b": "+10", "control": True},
            {"a": "known", "b": "far", "cause": "a dictionary compares"},
        ],
        "curves": {"known / unknown": curve, "known / +10": curve, "known / far": curve},
    }
    results = Results(
        "timing", "a machine", "2026-01-01", 1.0, {"part": {"groups": {"one": found}}}
    )
    drawn = [(color, points) for color, _, points in curves(results)]
    assert drawn == [(OURS, curve), (CONTROL, curve), (LIMIT, curve)]
