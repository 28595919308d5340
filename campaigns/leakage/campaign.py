"""Random markers for every kind of secret, and where they are found afterwards."""

from __future__ import annotations

from typing import Final

from campaigns.frame.campaign import Campaign, Part
from campaigns.leakage.commands import commands
from campaigns.leakage.controls import planted
from campaigns.leakage.cores import crashes
from campaigns.leakage.custody import external
from campaigns.leakage.databases import postgresql
from campaigns.leakage.section import section
from campaigns.leakage.service import routes
from campaigns.leakage.stages import with_the_source_before, with_this_source
from campaigns.leakage.suite import suite

CAMPAIGN: Final = Campaign(
    name="leakage",
    about="where keys, secrets and plaintexts are found after use: logs, files, cores, memory",
    page="security_testing.md",
    parts=(
        Part("controls", planted),
        Part("service", routes),
        Part("commands", commands),
        Part("cores", crashes),
        Part("memory", with_this_source),
        Part("memory before", with_the_source_before),
        Part("PostgreSQL", postgresql),
        Part("custodian elsewhere", external),
        Part("suite", suite),
    ),
    section=section,
)
