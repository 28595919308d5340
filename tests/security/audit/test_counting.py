"""How many chains were ever begun: whoever deletes one with all that tells of it is found out."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.audit.verification import ChainFault
from tests.support.audit import Books

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider


@pytest.fixture
def two(books: Books) -> Books:
    """An audit folder with two chains."""
    with books.opened() as one, books.opened() as other:
        one.record(Event("encrypt", "ok"))
        other.record(Event("encrypt", "ok"))
    assert len(books.chains) == 2
    return books


def execute(provider: LocalKeyProvider, statement: str) -> None:
    """Change the store past all of its code, as whoever writes its file can."""
    with provider.store.database.write() as connection:
        connection.exec_driver_sql(statement)


def test_a_chain_that_is_deleted_with_its_row_is_missed(two: Books) -> None:
    """Folder and row agree, and the number does not."""
    gone = two.chains[0]
    shutil.rmtree(gone)
    execute(two.provider, f"DELETE FROM mfn_audit_chains WHERE chain_id = '{gone.name}'")
    what = "the store does not know 1 of the chains any more that were begun"
    report = two.verified()
    assert report.faults == [ChainFault("", 0, what)]
    assert str(report.faults[0]) == what
    two.write(1)
    assert two.faults() == [(0, what)]


def test_all_chains_that_are_deleted_with_their_rows_are_missed(two: Books) -> None:
    """An audit folder that looks new is no new one."""
    shutil.rmtree(two.folder)
    execute(two.provider, "DELETE FROM mfn_audit_chains")
    assert two.faults() == [(0, "the store does not know 2 of the chains any more that were begun")]
    two.write(1)
    assert two.faults() == [(0, "the store does not know 2 of the chains any more that were begun")]


def test_a_number_that_was_changed_is_seen(two: Books) -> None:
    """It is authenticated, and whoever begins the next chain does not make it authentic again."""
    execute(two.provider, "UPDATE mfn_audit_count SET chains = 1")
    changed = [(0, "what the store says of the number of chains was changed")]
    assert two.faults() == changed
    with two.opened() as one, two.opened() as other, two.opened() as third:
        for log in (one, other, third):
            log.record(Event("encrypt", "ok"))
    assert len(two.chains) == 3
    assert two.faults() == changed
    execute(two.provider, "UPDATE mfn_audit_count SET chains = 3, tag = 'x'")
    assert two.faults() == changed


def test_a_number_that_is_gone_is_missed(two: Books) -> None:
    """It is made with the audit key; a process that begins a chain does not make another."""
    execute(two.provider, "DELETE FROM mfn_audit_count")
    with two.opened() as one, two.opened() as other, two.opened() as third:
        for log in (one, other, third):
            log.record(Event("encrypt", "ok"))
    ((_, what),) = two.faults()
    assert "does not say how many chains" in what


def test_a_store_of_before_is_counted_once(two: Books) -> None:
    """By ``mfn init``, which an upgrade needs; what is counted later is what is begun later."""
    execute(two.provider, "DELETE FROM mfn_audit_count")
    two.provider.audit_keys.count_chains()
    assert two.faults() == []
    assert two.provider.store.chain_count() is not None
    shutil.rmtree(two.chains[0])
    two.provider.audit_keys.count_chains()
    two.provider.store.count_chains(lambda _: pytest.fail("it is counted already"))
    assert two.faults(all_here=True) == [(0, "the whole chain is missing")]


def test_a_store_without_a_record_has_nothing_to_count(books: Books) -> None:
    """Nothing is made for what is not there."""
    books.provider.audit_keys.count_chains()
    assert books.provider.store.chain_count() is None
    assert books.provider.store.audit_key() is None


def test_chains_that_are_begun_at_once_are_all_counted(books: Books) -> None:
    """By processes that each begin one of their own."""
    books.provider.audit_keys.mac()
    children = []
    for _ in range(6):
        pid = os.fork()
        if not pid:
            log = books.log()
            log.record(Event("encrypt", "ok"))
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    count = books.provider.store.chain_count()
    assert count is not None
    assert count.chains == len(books.provider.store.chains()) == len(books.chains)
    assert books.faults() == []
