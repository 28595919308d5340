"""Keys that carry traffic: through an outage, until a refusal, without waiting for either."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    KeyStateError,
    MasterKeyError,
    MfnError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import Binding, StoredKeyProvider, wrapping
from mycelium_fractal_net.security.key_providers.refreshing import Refreshing
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
from mycelium_fractal_net.security.key_store import Database, KeyStore, UsageStore
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.keys import Verb
from tests.support.custodian import KEK_ID, QUICK, Elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers.refreshing import Unwrap

STORE_ID = bytes(16)


def bound(version: int = 1) -> Binding:
    return Binding(STORE_ID, "orders", "encryption", "data", "AES-256-GCM", version, b"12345678")


def eventually(true: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


class Side:
    """The other machine, and a keyring over a store whose keys it wraps."""

    def __init__(self, folder: Path, url: str, outage_seconds: float) -> None:
        Elsewhere.create(folder)
        self.mode_file = folder / "mode"
        self.machine = Elsewhere(folder)
        self.custodian = RemoteCustodian(lambda: self.machine, QUICK)
        self.database = Database(url)
        self.database.create()
        self.outage_seconds = outage_seconds
        self.provider = self.opened()
        self.provider.master_keys.begin()
        self.provider.keys.create("orders")
        self.keyring = Keyring(
            self.provider, UsageStore(self.database), cache_seconds=0.05, cache_keys=100
        )

    def opened(self) -> StoredKeyProvider:
        return StoredKeyProvider(
            KeyStore(self.database),
            self.custodian,
            Policy(),
            store_id=STORE_ID,
            outage_seconds=self.outage_seconds,
        )

    def is_now(self, mode: str) -> None:
        self.mode_file.write_text(mode)

    def unwraps(self) -> int:
        return self.machine.calls.count("unwrap")


@pytest.fixture
def side(tmp_path: Path, sqlite_url: str) -> Iterator[Side]:
    """A machine that answers; a key serves for a minute without it."""
    made = Side(tmp_path / "elsewhere", sqlite_url, 60.0)
    yield made
    made.keyring.close()
    made.database.close()


def test_traffic_never_waits_for_a_key_that_was_unwrapped_before(side: Side) -> None:
    """It is asked for again beside it, once each time that what is cached expires."""
    sealed = side.keyring.encrypt(b"x", key_id="orders")
    side.is_now("0.3")
    asked = side.unwraps()
    slowest = 0.0
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        begun = time.monotonic()
        assert side.keyring.decrypt(sealed) == b"x"
        slowest = max(slowest, time.monotonic() - begun)
        time.sleep(0.005)
    assert slowest < 0.2
    assert 1 <= side.unwraps() - asked <= 3  # as fast as it answers, and one at a time


def test_an_outage_is_ridden_out_and_says_for_how_long(side: Side) -> None:
    """Until the time that is configured is over; then nothing serves."""
    sealed = side.keyring.encrypt(b"x", key_id="orders")
    assert side.provider.wrapping.longest_unconfirmed() == 0
    side.is_now("down")
    time.sleep(0.06)
    assert side.keyring.decrypt(sealed) == b"x"
    time.sleep(0.06)
    assert side.keyring.decrypt(sealed) == b"x"
    assert 0.1 < side.provider.wrapping.longest_unconfirmed() < 5
    side.is_now("up")
    time.sleep(0.5)  # for which the custodian is left alone

    def asked_again() -> bool:
        assert side.keyring.decrypt(sealed) == b"x"
        return side.provider.wrapping.longest_unconfirmed() == 0

    eventually(asked_again)


def test_an_outage_that_lasts_too_long_ends_what_is_in_memory(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the monotonic clock, since the custodian last gave the key."""
    sealed = side.keyring.encrypt(b"x", key_id="orders")
    side.is_now("down")
    later = time.monotonic() + 61
    monkeypatch.setattr(wrapping, "monotonic", lambda: later)
    time.sleep(0.06)
    with pytest.raises(CustodianUnavailableError):
        side.keyring.decrypt(sealed)
    assert side.provider.wrapping.longest_unconfirmed() == 0


@pytest.mark.parametrize(
    ("mode", "error"), [("denied", CustodianDeniedError), ("gone", MasterKeyError)]
)
def test_a_refusal_ends_every_use_as_soon_as_it_is_known(
    side: Side, mode: str, error: type[MfnError]
) -> None:
    """Of every keyring of the process, whoever asked; what its cache still held goes with it."""
    sealed = side.keyring.encrypt(b"x", key_id="orders")
    side.is_now(mode)
    time.sleep(0.06)
    end = time.monotonic() + 5
    with pytest.raises(error):  # it may be faster than the refusal
        while time.monotonic() < end:
            side.keyring.decrypt(sealed)
    for _ in range(2):
        with pytest.raises(error):
            side.keyring.decrypt(sealed)
    side.is_now("down")
    with pytest.raises(CustodianUnavailableError):
        side.keyring.decrypt(sealed)
    side.is_now("up")
    time.sleep(0.5)
    assert side.keyring.decrypt(sealed) == b"x"


def test_a_compromise_is_felt_while_the_custodian_is_out(side: Side) -> None:
    """What a key may do the store says, which is asked every two seconds."""
    sealed = side.keyring.encrypt(b"x", key_id="orders")
    side.is_now("down")
    side.provider.states.apply(Verb.COMPROMISE, "orders:v1")
    end = time.monotonic() + 5
    with pytest.raises(KeyStateError):
        while time.monotonic() < end:
            side.keyring.decrypt(sealed)
            time.sleep(0.05)


def test_steady_traffic_asks_for_a_key_a_few_times_in_100_000_operations(
    tmp_path: Path, sqlite_url: str
) -> None:
    """Start included; once a second, where that is how long a key is cached."""
    side = Side(tmp_path / "elsewhere", sqlite_url, 60.0)
    keyring = Keyring(side.provider, UsageStore(side.database), cache_seconds=1, cache_keys=100)
    before = len(side.machine.calls)
    for _ in range(100_000):
        keyring.encrypt(b"x", key_id="orders")
    assert len(side.machine.calls) - before < 20
    keyring.close()
    side.keyring.close()
    side.database.close()


# What is asked for beside traffic -------------------------------------------------------------


def unwraps(*numbers: int, kek_id: str = KEK_ID) -> list[Unwrap]:
    return [(kek_id, b"wrapped", bound(number)) for number in numbers]


def test_what_falls_due_at_once_is_one_call_for_each_master_key() -> None:
    """And what falls due while that is made is the next one."""
    calls: list[list[Unwrap]] = []
    go_on = threading.Event()

    def fetch(some: list[Unwrap]) -> None:
        calls.append(some)
        go_on.wait(5)

    refreshing = Refreshing(fetch)
    refreshing.ask(unwraps(1)[0])
    eventually(lambda: calls)
    for each in [*unwraps(2, 3, 2), *unwraps(4, kek_id="another"), *unwraps(5)]:
        refreshing.ask(each)
    go_on.set()
    eventually(lambda: len(calls) == 3)
    assert calls == [unwraps(1), unwraps(2, 3, 5), unwraps(4, kek_id="another")]
    eventually(lambda: not any(each.name == "mfn-unwrap" for each in threading.enumerate()))
    refreshing.ask(unwraps(6)[0])
    eventually(lambda: len(calls) == 4)


def test_one_that_was_edited_does_not_stop_the_others() -> None:
    """Each is asked for alone then; another error ends the whole call."""
    told: list[int] = []
    error: MfnError = StoreIntegrityError("one of them")

    def fetch(some: list[Unwrap]) -> None:
        versions = [each[2].version for each in some]
        told.extend(versions)
        if 2 in versions:
            raise error

    refreshing = Refreshing(fetch)
    # Nothing is lost to chance: the thread finds all of them.
    with refreshing._lock:
        refreshing._due.update(dict.fromkeys(unwraps(1, 2, 3)))
    refreshing.ask(unwraps(2)[0])
    eventually(lambda: told == [1, 2, 3, 1, 2, 3])
    told.clear()
    refreshing.ask(unwraps(2)[0])
    eventually(lambda: told == [2])
    error = CustodianUnavailableError("out")
    told.clear()
    with refreshing._lock:
        refreshing._due.update(dict.fromkeys(unwraps(1, 2)))
    refreshing.ask(unwraps(2)[0])
    eventually(lambda: told == [1, 2])


def test_a_row_that_does_not_open_any_more_is_forgotten_alone(tmp_path: Path) -> None:
    """The others under its master key are ridden out."""
    Elsewhere.create(tmp_path / "elsewhere")
    machine = Elsewhere(tmp_path / "elsewhere")
    wraps = Wrapping(RemoteCustodian(lambda: machine, QUICK), STORE_ID, outage_seconds=60.0)
    sealed = [wraps.wrap(KEK_ID, b"k" * 32, bound(number)) for number in (1, 2)]
    for number in (1, 2):
        wraps.unwrap(KEK_ID, sealed[number - 1], bound(number))
    kek = (tmp_path / "elsewhere" / "kek").read_bytes()
    (tmp_path / "elsewhere" / "kek").write_bytes(os.urandom(32))
    with pytest.raises(StoreIntegrityError):
        wraps.unwrap(KEK_ID, sealed[0], bound(1))
    with pytest.raises(StoreIntegrityError):
        wraps._fetch([(KEK_ID, sealed[number - 1], bound(number)) for number in (1, 2)])
    (tmp_path / "elsewhere" / "kek").write_bytes(kek)
    (tmp_path / "elsewhere" / "mode").write_text("down")
    assert wraps.unwrap(KEK_ID, sealed[1], bound(2)) == b"k" * 32
    with pytest.raises(CustodianUnavailableError):
        wraps.unwrap(KEK_ID, sealed[0], bound(1))
