"""Every campaign there is, by its name; each is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from campaigns.frame.campaign import Campaign

NAMES: Final[tuple[str, ...]] = (
    "api_fuzzing",
    "faults",
    "fuzzing",
    "instructions",
    "leakage",
    "load",
    "misuse",
    "model",
    "mutation",
    "tampering",
    "timing",
)


def campaign(name: str) -> Campaign:
    """The campaign of that name: ``CAMPAIGN`` in ``campaigns/NAME/campaign.py``."""
    if name not in NAMES:
        raise KeyError(name)
    found: Campaign = import_module(f"campaigns.{name}.campaign").CAMPAIGN
    return found
