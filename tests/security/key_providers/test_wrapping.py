"""What a custodian is asked for, how often, and how long its last answer serves."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
    MfnError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import Binding, LocalCustodian, wrapping
from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
from mycelium_fractal_net.security.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STORE_ID = bytes(range(16))
MATERIAL = bytes(range(32))


class Asked(LocalCustodian):
    """A custodian that remembers how many were asked for at once, and fails where it is told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Policy())
        self.calls: list[int] = []
        self.rewraps: list[int] = []
        self.failure: MfnError | None = None
        self.barrier = threading.Event()
        self.barrier.set()

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[SecretBytes]:
        self.calls.append(len(items))
        self.barrier.wait(10)
        if self.failure is not None:
            raise self.failure
        return super().unwrap_many(kek_id, items)

    def rewrap_many(
        self, from_id: str, to_id: str, items: Sequence[tuple[bytes, Binding]]
    ) -> list[bytes]:
        self.rewraps.append(len(items))
        return super().rewrap_many(from_id, to_id, items)


class Told:
    """What holds keys in memory."""

    def __init__(self) -> None:
        self.of: list[str] = []

    def refused(self, master_id: str) -> None:
        self.of.append(master_id)


class Monotonic:
    """The clock of what is remembered, moved by the test."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    found = Monotonic()
    monkeypatch.setattr(wrapping, "monotonic", found)
    return found


@pytest.fixture
def custodian(tmp_path: Path) -> Asked:
    path = tmp_path / "master.key"
    LocalCustodian.create(path, Policy())
    return Asked(path)


def bound(version: int = 1) -> Binding:
    return Binding(STORE_ID, "orders", "encryption", "data", "AES-256-GCM", version, b"12345678")


def test_what_was_wrapped_unwraps_under_its_own_binding(custodian: Asked) -> None:
    """And a master key that the custodian does not hold is refused before it is asked."""
    kept = Wrapping(custodian, STORE_ID)
    master = custodian.newest_id()
    wrapped = kept.wrap(master, MATERIAL, bound())
    assert kept.unwrap(master, wrapped, bound()) == MATERIAL
    with pytest.raises(StoreIntegrityError):
        kept.unwrap(master, wrapped, bound(2))
    custodian.calls.clear()
    for refused in (
        lambda: kept.wrap("rubbish", MATERIAL, bound()),
        lambda: kept.unwrap("rubbish", wrapped, bound()),
        lambda: kept.unwrap_in_use("rubbish", wrapped, bound()),
        lambda: kept.rewrap("rubbish", master, [(wrapped, bound())]),
        lambda: kept.rewrap(master, "rubbish", [(wrapped, bound())]),
    ):
        with pytest.raises(MasterKeyError):
            refused()
    assert custodian.calls == custodian.rewraps == []


def test_threads_that_ask_for_different_keys_at_once_get_each_its_own(custodian: Asked) -> None:
    """Who needs the same key waits for the one that asks; who needs another never has its bytes."""
    kept = Wrapping(custodian, STORE_ID)
    master = custodian.newest_id()
    other = bytes(range(1, 33))
    one, two = kept.wrap(master, MATERIAL, bound(1)), kept.wrap(master, other, bound(2))
    custodian.barrier = threading.Event()
    with ThreadPoolExecutor(3) as threads:
        asked = [
            threads.submit(kept.unwrap, master, wrapped, bound(version))
            for wrapped, version in ((one, 1), (one, 1), (two, 2))
        ]
        end = time.monotonic() + 10
        while len(custodian.calls) < 2 and time.monotonic() < end:
            time.sleep(0.001)
        custodian.barrier.set()
        assert [each.result(10) for each in asked] == [MATERIAL, MATERIAL, other]


class Plain(Asked):
    """A custodian that gives what it unwrapped as bytes, as one on another machine does."""

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[SecretBytes]:
        return [bytes(each) for each in super().unwrap_many(kek_id, items)]  # type: ignore[misc]


def test_what_is_unwrapped_is_in_one_copy_that_can_be_wiped(
    custodian: Asked, tmp_path: Path
) -> None:
    """Whatever the custodian gives it as; and what is such a copy already is not copied."""
    wrapped = Wrapping(custodian, STORE_ID).wrap(custodian.newest_id(), MATERIAL, bound())
    plain = Wrapping(Plain(tmp_path / "master.key"), STORE_ID)
    found = plain.unwrap(custodian.newest_id(), wrapped, bound())
    assert type(found) is SecretBytes
    assert found == MATERIAL
    given: list[SecretBytes] = []
    unwrap_many = custodian.unwrap_many

    def remembering(kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[SecretBytes]:
        given.extend(unwrap_many(kek_id, items))
        return given

    custodian.unwrap_many = remembering  # type: ignore[method-assign]
    found = Wrapping(custodian, STORE_ID).unwrap(custodian.newest_id(), wrapped, bound())
    assert found is given[0]


def test_what_was_forgotten_does_not_serve_through_an_outage(custodian: Asked) -> None:
    """A provider that is closed keeps no key."""
    kept = Wrapping(custodian, STORE_ID, outage_seconds=10.0)
    wrapped = kept.wrap(custodian.newest_id(), MATERIAL, bound())
    kept.unwrap(custodian.newest_id(), wrapped, bound())
    kept.forget()
    custodian.failure = CustodianUnavailableError("away")
    with pytest.raises(CustodianUnavailableError):
        kept.unwrap(custodian.newest_id(), wrapped, bound())


def test_a_child_is_not_stopped_by_what_a_thread_of_its_parent_held(custodian: Asked) -> None:
    """The thread is not in it, and would never let go."""
    kept = Wrapping(custodian, STORE_ID, outage_seconds=10.0)
    master = custodian.newest_id()
    wrapped = kept.wrap(master, MATERIAL, bound())
    with kept._lock:
        child = os.fork()
        if not child:
            code = 1
            try:
                signal.alarm(10)
                code = 0 if kept.unwrap(master, wrapped, bound()) == MATERIAL else 2
            finally:
                os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_many_keys_are_rewrapped_sixty_four_at_a_time(custodian: Asked) -> None:
    """In their order, each with its own binding."""
    kept = Wrapping(custodian, STORE_ID)
    old, new = custodian.newest_id(), custodian.add()
    materials = [bytes([number]) * 32 for number in range(130)]
    items = [(kept.wrap(old, each, bound(n)), bound(n)) for n, each in enumerate(materials)]
    rewrapped = kept.rewrap(old, new, items)
    assert custodian.rewraps == [64, 64, 2]
    opened = [kept.unwrap(new, each, bound(n)) for n, each in enumerate(rewrapped)]
    assert opened == materials
    assert kept.rewrap(old, new, []) == []


def test_what_was_unwrapped_serves_through_an_outage_and_no_longer(
    custodian: Asked, clock: Monotonic
) -> None:
    """Up to the seconds that are set, from its last answer on, and not in their last moment."""
    kept = Wrapping(custodian, STORE_ID, outage_seconds=10.0)
    master = custodian.newest_id()
    wrapped, other = (kept.wrap(master, MATERIAL, bound(n)) for n in (1, 2))
    kept.unwrap(master, wrapped, bound())
    custodian.failure = CustodianUnavailableError("away")
    clock.now += 9.99
    assert kept.unwrap(master, wrapped, bound()) == MATERIAL
    with pytest.raises(CustodianUnavailableError):
        kept.unwrap(master, other, bound(2))
    clock.now += 0.01
    with pytest.raises(CustodianUnavailableError):
        kept.unwrap(master, wrapped, bound())
    custodian.failure = None
    kept.unwrap(master, wrapped, bound())
    custodian.failure = CustodianUnavailableError("away")
    clock.now += 9.99
    assert kept.unwrap(master, wrapped, bound()) == MATERIAL


def test_nothing_is_remembered_where_no_outage_is_to_be_ridden_out(
    custodian: Asked, clock: Monotonic
) -> None:
    """Which is the default: no key stays in memory for it."""
    kept = Wrapping(custodian, STORE_ID)
    master = custodian.newest_id()
    wrapped = kept.wrap(master, MATERIAL, bound())
    kept.unwrap(master, wrapped, bound())
    assert not kept._remembered
    custodian.failure = CustodianUnavailableError("away")
    with pytest.raises(CustodianUnavailableError):
        kept.unwrap(master, wrapped, bound())
    short = Wrapping(custodian, STORE_ID, outage_seconds=0.5)
    custodian.failure = None
    short.unwrap(master, wrapped, bound())
    custodian.failure = CustodianUnavailableError("away")
    assert short.unwrap(master, wrapped, bound()) == MATERIAL


def test_a_refusal_ends_what_is_under_that_master_key_and_nothing_else(
    custodian: Asked, clock: Monotonic
) -> None:
    """Whoever holds keys in memory is told; an outage tells nobody."""
    kept, told = Wrapping(custodian, STORE_ID, outage_seconds=10.0), Told()
    kept.holders.add(told)
    first, second = custodian.newest_id(), custodian.add()
    one, two = (kept.wrap(master, MATERIAL, bound()) for master in (first, second))
    kept.unwrap(first, one, bound())
    kept.unwrap(second, two, bound())
    custodian.failure = CustodianUnavailableError("away")
    kept.unwrap(first, one, bound())
    assert told.of == []
    custodian.failure = CustodianDeniedError("disabled")
    with pytest.raises(CustodianDeniedError):
        kept.unwrap(first, one, bound())
    assert told.of == [first]
    custodian.failure = CustodianUnavailableError("away")
    with pytest.raises(CustodianUnavailableError):
        kept.unwrap(first, one, bound())
    assert kept.unwrap(second, two, bound()) == MATERIAL


def test_an_edited_row_is_forgotten_alone_and_refuses_no_other(
    custodian: Asked, clock: Monotonic
) -> None:
    """Tampering with one row is no refusal by the custodian."""
    kept, told = Wrapping(custodian, STORE_ID, outage_seconds=10.0), Told()
    kept.holders.add(told)
    master = custodian.newest_id()
    one, two = (kept.wrap(master, MATERIAL, bound(n)) for n in (1, 2))
    kept.unwrap(master, one, bound(1))
    kept.unwrap(master, two, bound(2))
    custodian.failure = StoreIntegrityError("it does not unwrap")
    with pytest.raises(StoreIntegrityError):
        kept.unwrap(master, one, bound(1))
    assert told.of == []
    custodian.failure = CustodianUnavailableError("away")
    with pytest.raises(CustodianUnavailableError):
        kept.unwrap(master, one, bound(1))
    assert kept.unwrap(master, two, bound(2)) == MATERIAL


def test_how_long_a_key_in_use_was_not_given_again_is_known(
    custodian: Asked, clock: Monotonic
) -> None:
    """Of keys that traffic asks for alone; what does not serve any more is not counted."""
    kept = Wrapping(custodian, STORE_ID, outage_seconds=10.0)
    master = custodian.newest_id()
    one, two = (kept.wrap(master, MATERIAL, bound(n)) for n in (1, 2))
    kept.unwrap(master, one, bound(1))
    kept.unwrap(master, two, bound(2))
    clock.now += 4
    assert kept.longest_unconfirmed() == 0.0
    custodian.failure = CustodianUnavailableError("away")
    assert kept.unwrap_in_use(master, one, bound(1)) == MATERIAL
    assert kept.longest_unconfirmed() == 4.0
    clock.now += 5.75
    assert kept.longest_unconfirmed() == 9.75
    clock.now += 0.25
    assert kept.longest_unconfirmed() == 0.0
    with pytest.raises(CustodianUnavailableError):
        kept.unwrap_in_use(master, one, bound(1))


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(
    custodian: Asked, clock: Monotonic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By number and by age; to be unwrapped anew makes a key the youngest."""
    monkeypatch.setattr(wrapping, "_MOST_REMEMBERED", 2)
    kept = Wrapping(custodian, STORE_ID, outage_seconds=10.0)
    master = custodian.newest_id()
    wrapped = {n: kept.wrap(master, MATERIAL, bound(n)) for n in (1, 2, 3, 4)}

    def unwrap(number: int) -> None:
        kept.unwrap(master, wrapped[number], bound(number))

    def remembered() -> list[int]:
        return [binding.version for _, _, binding in kept._remembered]

    for number in (1, 2, 1, 3):
        unwrap(number)
    assert remembered() == [1, 3]
    clock.now += 9.99
    unwrap(4)
    assert remembered() == [3, 4]
    clock.now += 0.01
    unwrap(4)
    assert remembered() == [4]


def test_what_material_is_bound_to_stays_for_ever(custodian: Asked) -> None:
    """A key of the store itself has no name, so that no named key's wrapping passes for it."""
    kept = Wrapping(custodian, STORE_ID)
    assert kept.binding_of("audit", "HMAC-SHA-256") == Binding(
        STORE_ID, "", "audit", "", "HMAC-SHA-256", 0, b""
    )
    assert kept.binding_of("backup", "AES-256-GCM", b"12345678").handle == b"12345678"
