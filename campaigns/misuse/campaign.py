"""Misuse: texts that are code elsewhere in every field, and requests with two readings."""

from __future__ import annotations

from typing import Final

from campaigns.frame.campaign import Campaign, Part
from campaigns.misuse import commands, file_names, requests, routes, settings
from campaigns.misuse.report import section

CAMPAIGN: Final = Campaign(
    name="misuse",
    about="injection in every field that takes text, and request smuggling",
    page="security_testing.md",
    parts=(
        Part("requests", requests.work),
        Part("routes", routes.work),
        Part("commands", commands.work),
        Part("settings", settings.work),
        Part("files", file_names.work),
    ),
    section=section,
)
