"""Faults that an operator has looked into: known, recorded, and never another one's."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.audit import acting_as

if TYPE_CHECKING:
    from tests.support.audit import Books

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def faulty(books: Books) -> Books:
    """A chain with an edited record, beside one that is missing."""
    books.write(3)
    edited = books.chain.name
    with books.opened() as one, books.opened() as other:
        one.now("key.export")
        other.now("key.export")
    books.tamper_with_first(b"orders:v1", b"orders:v7")
    (other_chain,) = (path for path in books.chains if path.name != edited)
    shutil.rmtree(other_chain)
    return books


def acknowledge(books: Books, reason: str = "the disk of March") -> None:
    """An operator says that all faults there are are known."""
    faults = books.verified(all_here=True).faults
    with acting_as("cli:0"), books.opened() as log:
        log.acknowledge(faults, reason, NOW)


def test_what_is_acknowledged_is_no_open_fault(faulty: Books) -> None:
    """It is still told, with who knows of it, since when and why."""
    before = faulty.verified(all_here=True)
    assert len(before.faults) == 2
    acknowledge(faulty)
    report = faulty.verified(all_here=True)
    assert report.faults == []
    assert [fault[:3] for fault in report.acknowledged] == [fault[:3] for fault in before.faults]
    known = report.acknowledged[0].acknowledged
    assert known is not None
    assert (known.reason, known.actor, known.time) == ("the disk of March", "cli:0", NOW)


def test_an_acknowledgement_is_recorded(faulty: Books) -> None:
    """For each chain how many, by whom and why."""
    acknowledge(faulty)
    found = faulty.records_of("audit.acknowledge")
    assert {each["subject"] for each in found} == {
        fault.chain for fault in faulty.verified(all_here=True).acknowledged
    }
    assert {(each["actor"], each["reason"], each["count"]) for each in found} == {
        ("cli:0", "the disk of March", 1)
    }


def test_another_fault_of_the_same_chain_is_open(faulty: Books) -> None:
    """What is known is that record and what was wrong with it."""
    acknowledge(faulty)
    faulty.tamper_with_first(b"orders:v2", b"orders:v8")
    (fault,) = faulty.verified(all_here=True).faults
    assert fault.sequence == 4


def test_whoever_writes_the_store_acknowledges_nothing(faulty: Books) -> None:
    """A row that was made or changed without the audit key says nothing."""
    acknowledge(faulty)
    with faulty.provider.store.database.write() as connection:
        connection.exec_driver_sql("UPDATE mfn_audit_acknowledged SET reason = 'nothing'")
    assert len(faulty.verified(all_here=True).faults) == 2


def test_a_later_word_takes_the_place_of_an_earlier_one(faulty: Books) -> None:
    """Of the same fault."""
    faults = faulty.verified(all_here=True).faults
    with faulty.opened() as log:
        log.acknowledge(faults, "at first", NOW)
        log.acknowledge(faults, "found out", NOW)
    reasons = {each.reason for each in faulty.provider.store.acknowledged()}
    assert reasons == {"found out"}


def test_a_fault_of_no_chain_is_acknowledged_too(books: Books) -> None:
    """Such as a chain that the store has forgotten."""
    books.write(1)
    shutil.rmtree(books.folder)
    with books.provider.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM mfn_audit_chains")
    acknowledge(books)
    assert books.faults() == []
    assert len(books.verified().acknowledged) == 1
    with books.provider.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM mfn_audit_chains")
    assert len(books.verified().of_store) == 1
