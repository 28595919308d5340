"""Findings that somebody lives with until a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.config import Settings, load_settings
from mycelium_fractal_net.doctor import Finding, diagnose
from mycelium_fractal_net.doctor.acknowledged import acknowledged_rows, check_acknowledgement
from mycelium_fractal_net.doctor.sarif import sarif_log
from mycelium_fractal_net.security.errors import InvalidInputError
from tests.support.sarif import check_sarif

if TYPE_CHECKING:
    from pathlib import Path

CHECK = "master-key"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def settings(home: Path) -> Settings:
    """A store whose master key lies unencrypted."""
    found = load_settings(environ={"MFN_HOME": str(home)})
    initialise(settings=found).close()
    return found


def say(settings: Settings, subject: str, *, days: float = 30) -> None:
    """Acknowledge the finding until in so many days."""
    now = datetime.now(UTC)
    with open_keyring(settings=settings) as keyring:
        assert keyring.provider.audit is not None
        keyring.provider.audit.acknowledge_finding(
            CHECK, subject, reason="known", at=now, until=now + timedelta(days=days)
        )


def found(settings: Settings) -> Finding:
    (finding,) = (each for each in diagnose(settings) if each.check == CHECK)
    return finding


def test_a_finding_that_is_acknowledged_says_so(settings: Settings) -> None:
    """By whom, why and until when, and as severe as before; it comes after all that is not."""
    before = found(settings)
    assert before.acknowledged is None
    say(settings, before.subject)
    after = diagnose(settings)[-1]
    assert after.check == CHECK
    assert after.acknowledged is not None
    assert (after.acknowledged.actor, after.acknowledged.reason) == ("library", "known")
    assert (after.severity, after.advice) == (before.severity, before.advice)


def test_of_another_subject_it_says_nothing(settings: Settings) -> None:
    """And without a subject it is said of all."""
    say(settings, "/elsewhere/master.key")
    assert found(settings).acknowledged is None
    say(settings, "")
    assert found(settings).acknowledged is not None


def test_what_has_ended_is_a_finding_again(settings: Settings) -> None:
    """It is still listed."""
    say(settings, "", days=-1)
    assert found(settings).acknowledged is None
    with open_keyring(settings=settings) as keyring:
        assert [row.finding for row in acknowledged_rows(keyring.provider)] == [CHECK]


def test_a_row_that_is_not_authentic_says_nothing(settings: Settings) -> None:
    """One of another store, edited, or without the key that it is under."""
    say(settings, "")
    with open_keyring(settings=settings) as keyring:
        database = keyring.provider.store.database
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE mfn_acknowledged_findings SET until = until + 1")
        assert acknowledged_rows(keyring.provider) == []
    assert found(settings).acknowledged is None


def test_without_the_audit_key_nothing_is_known(settings: Settings) -> None:
    """And doctor makes no new one to look with."""
    say(settings, "")
    with open_keyring(settings=settings) as keyring:
        provider = keyring.provider
        with provider.store.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM mfn_audit_keys")
        assert acknowledged_rows(provider) == []
        assert provider.store.audit_key() is None


def test_under_a_damaged_audit_key_nothing_is_known(settings: Settings) -> None:
    """The damage is a finding of its own."""
    say(settings, "")
    with open_keyring(settings=settings) as keyring:
        provider = keyring.provider
        with provider.store.database.write() as connection:
            connection.exec_driver_sql("UPDATE mfn_audit_keys SET wrapped = zeroblob(104)")
        assert acknowledged_rows(provider) == []
    findings = diagnose(settings)
    assert "audit-tampering" in {each.check for each in findings}
    assert all(each.acknowledged is None for each in findings)


def test_sarif_suppresses_what_is_acknowledged(settings: Settings) -> None:
    """With the reason; of the others it says that they are not."""
    say(settings, "")
    log = sarif_log(diagnose(settings))
    check_sarif(log)
    results = {each["ruleId"]: each["suppressions"] for each in log["runs"][0]["results"]}
    ((suppression,)) = results.pop(CHECK)
    assert (suppression["status"], suppression["justification"]) == ("accepted", "known")
    assert all(each == [] for each in results.values())


@pytest.mark.parametrize(
    ("check", "subject", "days", "reason"),
    [
        ("nosuch", "x", 1, "no such check"),
        ("audit-tampering", "audit chain x", 1, "mfn audit acknowledge --reason TEXT"),
        ("authentication", "", 1, "name the subject"),
        ("swap", "x" * 601, 1, "600 characters"),
        ("swap", "", 0, "after today"),
        ("swap", "", 367, "within 366 days"),
    ],
)
def test_what_may_not_be_acknowledged_is_refused(
    check: str, subject: str, days: int, reason: str
) -> None:
    """With why."""
    with pytest.raises(InvalidInputError, match=reason):
        check_acknowledgement(check, subject, now=NOW, until=NOW + timedelta(days=days))


def test_what_may_is_not(settings: Settings) -> None:
    """A finding of every store by its subject, one of the profile without."""
    check_acknowledgement(CHECK, "x" * 600, now=NOW, until=NOW + timedelta(days=366))
    check_acknowledgement("swap", "", now=NOW, until=NOW + timedelta(days=1))
