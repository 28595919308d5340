"""Findings that an operator lives with until a day: those that are known, and who said so.

They are rows of the store under its audit key (docs/adr/0030), so nothing is known of a store that
does not open. A row that is not authentic says nothing, and neither does one that has ended.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.doctor.findings import Acknowledgement, Finding
from mycelium_fractal_net.doctor.rules import HEALTH, RULES
from mycelium_fractal_net.security.errors import InvalidInputError, StoreIntegrityError
from mycelium_fractal_net.security.key_store.finding_table import (
    SUBJECT_LENGTH,
    AcknowledgedFinding,
)
from mycelium_fractal_net.security.key_store.rows import from_micros

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider

LONGEST: Final = timedelta(days=366)  # what is known for longer is looked at once a year
_ELSEWHERE: Final = "audit-tampering"  # it is a fault that is acknowledged there


def acknowledged_rows(provider: StoredKeyProvider) -> list[AcknowledgedFinding]:
    """Every authentic row of the store, one that has ended too.

    None where the audit key is gone or damaged, which is a finding of its own.
    """
    rows = provider.store.acknowledged_findings()
    if not rows or provider.store.audit_key() is None:
        return []
    try:
        key = provider.audit_keys.chain_key()
    except StoreIntegrityError:
        return []
    return [row for row in rows if key.is_authentic(row)]


def known(provider: StoredKeyProvider, findings: list[Finding]) -> list[Finding]:
    """The findings, of which those that are acknowledged now say so."""
    now = provider.clock()
    said = {
        (row.finding, row.subject): acknowledgement_of(row)
        for row in acknowledged_rows(provider)
        if from_micros(row.until) > now
    }
    return [
        replace(each, acknowledged=said.get((each.check, each.subject), said.get((each.check, ""))))
        for each in findings
    ]


def acknowledgement_of(row: AcknowledgedFinding) -> Acknowledgement:
    """What a row says, by whom and until when."""
    return Acknowledgement(row.actor, row.reason, from_micros(row.at), from_micros(row.until))


def check_acknowledgement(check: str, subject: str, *, now: datetime, until: datetime) -> None:
    """Raise :class:`InvalidInputError` unless that may be acknowledged until then.

    What is found of every store is acknowledged by its subject: all of it at once would silence
    a row that is tampered with tomorrow.
    """
    if check not in RULES:
        raise InvalidInputError("there is no such check: docs/posture.md lists them")
    if check == _ELSEWHERE:
        raise InvalidInputError(
            "faults of audit records are acknowledged one by one: mfn audit acknowledge"
            " --reason TEXT"
        )
    if check in HEALTH and not subject:
        raise InvalidInputError(f"name the subject of {check} that is meant, as doctor shows it")
    if len(subject) > SUBJECT_LENGTH:
        raise InvalidInputError(f"a subject has at most {SUBJECT_LENGTH} characters")
    if not now < until <= now + LONGEST:
        raise InvalidInputError(f"it ends after today, and within {LONGEST.days} days")
