"""What the service knows and shows of a custodian on another machine."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.api.service.custodian_watch import CustodianWatch
from mycelium_fractal_net.api.service.metrics import Metrics
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.key_providers import (
    Binding,
    LocalCustodian,
    LocalKeyProvider,
    StoredKeyProvider,
)
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from mycelium_fractal_net.security.key_store import Database, KeyStore
from mycelium_fractal_net.security.policy import Policy
from tests.api.service.test_metrics import samples
from tests.support.custodian import KEK_ID, QUICK, Elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BOUND = Binding(bytes(16), "orders", "encryption", "data", "AES-256-GCM", 1, b"12345678")


def eventually(true: Callable[[], object]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


class Side:
    """The machine, and a provider whose keys it wraps."""

    def __init__(self, folder: Path, url: str) -> None:
        Elsewhere.create(folder)
        self.folder = folder
        self.machine = Elsewhere(folder)
        self.database = Database(url)
        self.provider = StoredKeyProvider(
            KeyStore(self.database),
            RemoteCustodian(lambda: self.machine, QUICK),
            Policy(),
            store_id=bytes(16),
        )

    def is_now(self, mode: str) -> None:
        (self.folder / "mode").write_text(mode)

    def ask(self) -> None:
        with suppress(MfnError):
            self.provider.custodian.wrap_many(KEK_ID, [(b"k" * 32, BOUND)])


@pytest.fixture
def side(tmp_path: Path, sqlite_url: str) -> Iterator[Side]:
    """A machine that answers."""
    made = Side(tmp_path / "elsewhere", sqlite_url)
    yield made
    made.database.close()


def test_the_state_says_what_it_does_and_what_serves_on(side: Side) -> None:
    """Well, refusing, out while keys in use serve, and out for too long."""
    watch = CustodianWatch(side.provider, 60.0)
    at_once = CustodianWatch(side.provider, 0.0)
    assert watch.backends() == at_once.backends() == {"custodian": "ok"}
    side.is_now("denied")
    side.ask()
    assert watch.backends() == {"custodian": "refuses"}
    side.is_now("down")
    side.ask()
    assert watch.backends() == {"custodian": "riding-out"}
    assert at_once.backends() == {"custodian": "unavailable"}
    for each in (watch, at_once):
        each.end()


def test_it_is_asked_now_and_then_and_more_often_while_it_is_out(side: Side) -> None:
    """So that an outage, and its end, are seen without traffic."""
    side.is_now("down")
    watch = CustodianWatch(side.provider, 60.0, seconds=0.05, again_seconds=0.01)
    eventually(lambda: watch.backends() == {"custodian": "riding-out"})
    side.is_now("up")
    eventually(lambda: watch.backends() == {"custodian": "ok"})
    watch.end()


def test_metrics_show_calls_times_and_states(side: Side) -> None:
    """Each as it is now, however often it is looked at."""
    watch = CustodianWatch(side.provider, 60.0)
    metrics = Metrics()
    metrics.watch(watch.states, watch.counts)
    side.ask()
    side.is_now("down")
    side.ask()
    samples(metrics)
    found = samples(metrics)
    assert found["mfn_custodian_calls_total", "wrap", "ok"] == 1
    assert found["mfn_custodian_calls_total", "wrap", "unavailable"] == 1
    assert found["mfn_custodian_retries_total",] == 1
    assert found["mfn_custodian_call_seconds_count", "wrap"] == 2
    assert found["mfn_custodian_call_seconds_bucket", "wrap", "+Inf"] == 2
    assert 0 < found["mfn_custodian_call_seconds_sum", "wrap"] < 2
    assert found["mfn_custodian_outage_seconds",] > 0
    assert found["mfn_custodian_refuses",] == 0
    assert found["mfn_custodian_breaker_open",] == 0
    side.ask()
    assert samples(metrics)["mfn_custodian_breaker_open",] == 1
    watch.end()


def test_of_a_master_key_in_a_file_nothing_is_shown(tmp_path: Path, sqlite_url: str) -> None:
    """It is on this machine, and never out."""
    LocalCustodian.create(tmp_path / "master.key", Policy())
    database = Database(sqlite_url)
    provider = LocalKeyProvider(
        KeyStore(database), LocalCustodian(tmp_path / "master.key", Policy()), Policy()
    )
    watch = CustodianWatch(provider, 60.0)
    assert (watch.backends(), watch.states(), watch.counts()) == ({}, {}, {})
    watch.end()
    database.close()
