"""The campaign."""

from __future__ import annotations

from campaigns.api_fuzzing.callers import KINDS
from campaigns.api_fuzzing.fuzzing import part_of
from campaigns.api_fuzzing.report import section
from campaigns.frame.campaign import Campaign, Part

CAMPAIGN = Campaign(
    name="api_fuzzing",
    about="50,000 requests made from the OpenAPI document, by three kinds of caller",
    page="security_testing.md",
    parts=tuple(Part(kind, part_of(kind)) for kind in KINDS),
    section=section,
)
