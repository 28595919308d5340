"""Tampering: every bit of every form, and decoders that are held against each other."""

from __future__ import annotations

from campaigns.frame.campaign import Campaign, Part, Results
from campaigns.tampering.bits import every_bit


def section(results: Results) -> str:
    return str(results.parts)


CAMPAIGN = Campaign(
    name="tampering",
    about="every bit of every form, and decoders held against each other",
    page="security_testing.md",
    parts=[Part("bits", every_bit)],
    section=section,
)
