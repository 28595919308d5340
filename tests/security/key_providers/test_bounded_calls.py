"""Calls to another machine: how they end, and what is known and said of it."""

from __future__ import annotations

import inspect
import logging
import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    CustodianDeniedError,
    CustodianUnavailableError,
    MfnError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import outage_log, remote
from mycelium_fractal_net.security.key_providers.bounded_calls import BoundedCalls
from mycelium_fractal_net.security.key_providers.breaker import BreakerState
from mycelium_fractal_net.security.key_providers.call_limits import CallLimits
from mycelium_fractal_net.security.key_providers.call_statistics import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = CallLimits(
    deadline_seconds=1.0,
    attempts=2,
    first_pause_seconds=0.001,
    threads=2,
    outages_in_a_row=100,
    rest_seconds=0.2,
)


def failing(error: Exception) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


def run(calls: BoundedCalls, call: Callable[[], object], name: str = "unwrap") -> object:
    return calls.run(name, call, calls.end())


def ends_with(calls: BoundedCalls, error: Exception, name: str = "unwrap") -> str:
    """What is told where every attempt raises that."""
    with pytest.raises(MfnError) as caught:
        run(calls, failing(error), name)
    return str(caught.value)


def test_calls_are_counted_by_name_and_by_how_they_end() -> None:
    """With the time they took, whatever attempts they needed."""
    calls = BoundedCalls(LIMITS)
    run(calls, lambda: None)
    for error in (
        OSError(),
        CustodianDeniedError("no"),
        StoreIntegrityError("edited"),
        ConfigurationError("wrong"),
    ):
        ends_with(calls, error, "wrap")
    seen = calls.statistics()
    assert seen.calls == {
        ("unwrap", Outcome.OK): 1,
        ("wrap", Outcome.UNAVAILABLE): 1,
        ("wrap", Outcome.DENIED): 1,
        ("wrap", Outcome.INTEGRITY): 1,
        ("wrap", Outcome.OTHER): 1,
    }
    assert seen.retries == 2  # of the outage, and of what looked like an edited row
    assert {name: sum(times.buckets) for name, times in seen.times.items()} == {
        "unwrap": 1, "wrap": 4,
    }  # fmt: skip
    assert 0 < seen.times["wrap"].seconds < 1


def test_a_call_that_gives_up_by_itself_is_not_said_to_have_reached_the_deadline() -> None:
    """A socket's own time limit raises the same class as waiting does."""
    assert ends_with(BoundedCalls(LIMITS), TimeoutError()) == (
        "the custodian does not answer (TimeoutError)"
    )


def test_a_thread_that_was_left_to_itself_is_counted_until_it_ends() -> None:
    """Whatever it does then is nobody's concern."""
    calls = BoundedCalls(replace(LIMITS, deadline_seconds=0.05))
    go_on = threading.Event()
    with pytest.raises(CustodianUnavailableError, match="within"):
        run(calls, go_on.wait)
    assert calls.statistics().stuck_threads == 1
    go_on.set()
    end = time.monotonic() + 5
    while calls.statistics().stuck_threads and time.monotonic() < end:
        time.sleep(0.01)
    assert calls.statistics().stuck_threads == 0


def test_a_thread_that_was_left_to_itself_keeps_no_other_call_waiting() -> None:
    """As soon as the other side answers again, so does this, though that one still waits."""
    calls = BoundedCalls(replace(LIMITS, deadline_seconds=0.05, threads=1))
    go_on = threading.Event()
    with pytest.raises(CustodianUnavailableError, match="within"):
        run(calls, go_on.wait)
    assert run(calls, lambda: "answered") == "answered"
    assert calls.statistics().stuck_threads == 1
    go_on.set()


def test_a_call_for_which_there_is_no_thread_in_time_is_an_outage() -> None:
    """Others have them all, and are not late yet."""
    calls = BoundedCalls(replace(LIMITS, threads=1, attempts=1))
    go_on, begun = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go_on.wait(5)

    first = threading.Thread(target=run, args=(calls, wait))
    first.start()
    begun.wait(5)
    with pytest.raises(CustodianUnavailableError, match="as many wait for it as may"):
        calls.run("unwrap", lambda: None, time.monotonic() + 0.05)
    go_on.set()
    first.join()


def test_the_breaker_says_whether_calls_pass() -> None:
    """All, none, or the one that sees whether it answers again; one that is refused is counted."""
    calls = BoundedCalls(replace(LIMITS, outages_in_a_row=2))
    assert calls.statistics().breaker is BreakerState.CLOSED
    ends_with(calls, OSError())
    assert calls.statistics().breaker is BreakerState.OPEN
    assert "a moment ago" in ends_with(calls, OSError())
    assert calls.statistics().calls["unwrap", Outcome.NOT_ASKED] == 1
    time.sleep(0.25)
    seen: list[BreakerState] = []
    run(calls, lambda: seen.append(calls.statistics().breaker))
    assert (seen, calls.statistics().breaker) == ([BreakerState.HALF_OPEN], BreakerState.CLOSED)


def test_an_outage_soon_after_another_is_told_once_it_lasts(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that answers every other call does not fill the log, and none is kept quiet for long."""
    calls = BoundedCalls(LIMITS, "vault")
    for _ in range(3):
        ends_with(calls, OSError())
        run(calls, lambda: None)
    assert len(caplog.messages) == 2
    ends_with(calls, OSError())
    assert len(caplog.messages) == 2
    monkeypatch.setattr(outage_log, "_SOONEST_SECONDS", 0.0)
    ends_with(calls, OSError())
    assert len(caplog.messages) == 3


def test_an_outage_is_one_line_in_the_log_that_names_its_cause_and_one_when_it_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many requests there are meanwhile; a refusal is an answer, too."""
    monkeypatch.setattr(outage_log, "_SOONEST_SECONDS", 0.0)
    calls = BoundedCalls(LIMITS, "vault")
    for _ in range(3):
        ends_with(calls, ConnectionRefusedError())
    assert calls.statistics().outage_seconds > 0
    run(calls, lambda: None)
    run(calls, lambda: None)
    ends_with(calls, OSError())
    ends_with(calls, CustodianDeniedError("the key is disabled"))
    assert calls.statistics().outage_seconds == 0
    assert caplog.messages == [
        "custodian vault: the custodian does not answer (ConnectionRefusedError);"
        " what is in memory serves on",
        "custodian vault answers again, after 0 s",
        "custodian vault: the custodian does not answer (OSError); what is in memory serves on",
        "custodian vault answers again, after 0 s",
        "custodian vault refuses to unwrap keys: the key is disabled",
    ]
    assert [record.levelno for record in caplog.records[:2]] == [logging.ERROR, logging.WARNING]


def test_a_refusal_is_one_line_and_one_when_it_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an old master key is refused and the newest serves, that is not said each time."""
    calls = BoundedCalls(LIMITS, "vault")
    refused = CustodianDeniedError("the version is below the minimum")
    for _ in range(3):
        ends_with(calls, refused)
        ends_with(calls, refused, "rewrap")
        assert calls.statistics().refuses
        run(calls, lambda: None)
        assert calls.statistics().refuses
        run(calls, lambda: None, "rewrap")
        assert not calls.statistics().refuses
    lines = [
        "custodian vault refuses to unwrap keys: the version is below the minimum",
        "custodian vault refuses no more",
    ]
    assert caplog.messages == lines
    ends_with(calls, CustodianDeniedError("the key is disabled"))
    assert caplog.messages == [
        *lines,
        "custodian vault refuses to unwrap keys: the key is disabled",
    ]
    monkeypatch.setattr(outage_log, "_SAME_REFUSAL_SECONDS", 0.0)
    run(calls, lambda: None)
    ends_with(calls, CustodianDeniedError("the key is disabled"))
    assert len(caplog.messages) == 5


def test_what_is_refused_is_said_in_words(caplog: pytest.LogCaptureFixture) -> None:
    """Of every call that a store makes, not in the names of calls."""
    source = Path(inspect.getfile(remote)).read_text()
    named = set(re.findall(r"""(?:ask|_ask_to_sign|_named|_calls\.run)\(\s*"([a-z-]+)\"""", source))
    assert {"connect", "list-signing-keys"} <= named
    assert named == set(outage_log.WORDS)
    calls = BoundedCalls(LIMITS, "vault")
    ends_with(calls, CustodianDeniedError("the policy lacks it"), "signing-public-key")
    assert caplog.messages == [
        "custodian vault refuses to show the public key of a signing key: the policy lacks it"
    ]


def test_whoever_opens_a_custodian_is_told_by_an_error_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Before it has a name nothing is said."""
    calls = BoundedCalls(LIMITS)
    ends_with(calls, OSError(), "connect")
    ends_with(calls, CustodianDeniedError("no"), "connect")
    run(calls, lambda: None, "connect")
    assert caplog.messages == []
