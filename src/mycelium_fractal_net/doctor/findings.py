"""What is found, and what it is found in."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mycelium_fractal_net.config import Settings
from mycelium_fractal_net.doctor.external_listing import ExternalListing, list_external
from mycelium_fractal_net.doctor.rules import RULES, Severity
from mycelium_fractal_net.security.key_providers import CustodianStatus, StoredKeyProvider
from mycelium_fractal_net.security.key_store import UsageStore


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An operator's word that a finding is known, until when it is. Times are UTC."""

    actor: str
    reason: str
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend: what was checked, on what, and what to do."""

    severity: Severity
    check: str
    subject: str
    advice: str
    acknowledged: Acknowledgement | None = None

    @property
    def what(self) -> str:
        """What its check finds, in a few words."""
        return RULES[self.check].what

    @property
    def requirements(self) -> tuple[str, ...]:
        """The numbers of the requirements of OWASP ASVS 5.0.0 that it is about."""
        return RULES[self.check].requirements


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
