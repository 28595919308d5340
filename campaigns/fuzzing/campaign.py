"""Coverage-guided fuzzing of every parser."""

from __future__ import annotations

from campaigns.frame.campaign import Campaign, Part, Results
from campaigns.fuzzing.collecting import collect


def section(results: Results) -> str:
    return ""


CAMPAIGN = Campaign(
    name="fuzzing",
    about="coverage-guided fuzzing of every parser",
    page="security_testing.md",
    parts=[Part("targets", collect)],
    section=section,
)
