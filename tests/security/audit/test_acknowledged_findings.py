"""Findings of doctor that an operator lives with: recorded first, kept under the audit key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.audit import acting_as
from mycelium_fractal_net.security.errors import AuditUnavailableError
from mycelium_fractal_net.security.key_store.rows import from_micros

if TYPE_CHECKING:
    from tests.support.audit import Books

NOW, END = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC)


def acknowledge(
    books: Books, reason: str = "encrypted beneath", subject: str = "/dev/sda2"
) -> None:
    with acting_as("cli:0"), books.opened() as log:
        log.acknowledge_finding("swap", subject, reason=reason, at=NOW, until=END)


def test_what_is_acknowledged_is_recorded_and_kept(books: Books) -> None:
    """With who, why and until when; a later word takes the place of an earlier one."""
    acknowledge(books, "at first")
    acknowledge(books)
    (row,) = books.provider.store.acknowledged_findings()
    assert (row.finding, row.subject, row.reason) == ("swap", "/dev/sda2", "encrypted beneath")
    assert (row.actor, from_micros(row.at), from_micros(row.until)) == ("cli:0", NOW, END)
    assert books.provider.audit_keys.chain_key().is_authentic(row)
    record = books.records_of("finding.acknowledge")[0]
    assert (record["subject"], record["until"]) == ("swap /dev/sda2", "2026-09-01T00:00:00Z")
    assert (record["actor"], record["reason"]) == ("cli:0", "encrypted beneath")


def test_a_word_on_all_of_a_check_is_another_one(books: Books) -> None:
    """Withdrawn by itself, and recorded whether there was anything or not."""
    acknowledge(books)
    acknowledge(books, subject="")
    with books.opened() as log:
        assert log.withdraw_finding("swap", "", reason="moved")
        assert not log.withdraw_finding("swap", "", reason=None)
    (row,) = books.provider.store.acknowledged_findings()
    assert row.subject == "/dev/sda2"
    records = books.records_of("finding.withdraw")
    assert [(each["subject"], each.get("reason")) for each in records] == [
        ("swap", None),
        ("swap", "moved"),
    ]


@pytest.mark.parametrize(
    "change", ["finding = 'open'", "subject = ''", "until = until + 1", "tag = 7"]
)
def test_whoever_writes_the_store_acknowledges_nothing(books: Books, change: str) -> None:
    """Whatever of a row is changed without the audit key."""
    acknowledge(books)
    with books.provider.store.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE mfn_acknowledged_findings SET {change}")
    (row,) = books.provider.store.acknowledged_findings()
    assert not books.provider.audit_keys.chain_key().is_authentic(row)


def test_nothing_is_acknowledged_without_a_record(books: Books) -> None:
    """Where the audit folder takes none."""
    log = books.log()
    books.folder.rmdir() if books.folder.exists() else None
    books.folder.write_text("in the way")
    with pytest.raises(AuditUnavailableError):
        log.acknowledge_finding("swap", "", reason="x", at=NOW, until=END)
    assert books.provider.store.acknowledged_findings() == []
