"""What is found, and what it is found in."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mycelium_fractal_net.config import Settings
from mycelium_fractal_net.doctor.external_listing import ExternalListing, list_external
from mycelium_fractal_net.security.key_providers import CustodianStatus, StoredKeyProvider
from mycelium_fractal_net.security.key_store import UsageStore


class Severity(StrEnum):
    """How soon to act: critical now, warning soon, notice when there is time."""

    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend: what was checked, on what, and what to do."""

    severity: Severity
    check: str
    subject: str
    advice: str


notice = functools.partial(Finding, Severity.NOTICE)
warning = functools.partial(Finding, Severity.WARNING)
critical = functools.partial(Finding, Severity.CRITICAL)


@dataclass(frozen=True)
class Examined:
    """A store that opened, and what its custodian says.

    Whether all versions are unwrapped, and which folders have audit records beside that of the
    settings.
    """

    settings: Settings
    custodian: CustodianStatus
    provider: StoredKeyProvider
    usage: UsageStore
    all_versions: bool = False
    also: Sequence[Path] = ()

    @functools.cached_property
    def external(self) -> ExternalListing:
        """What custodians list of external signing keys; they are asked once."""
        return list_external(self.provider, thorough=self.all_versions)
