"""The campaign."""

from __future__ import annotations

from campaigns.frame.campaign import Campaign, Part
from campaigns.load.overload import overload
from campaigns.load.plots import plots
from campaigns.load.report import section
from campaigns.load.soak import soak

CAMPAIGN = Campaign(
    name="load",
    about="an hour of mixed traffic over every route; four times as much as it can do",
    page="reliability.md",
    parts=(Part("soak", soak), Part("overload", overload)),
    section=section,
    plots=plots,
)
