"""When a key is due, and where it stands: over every state, every clock, every pause."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.key_store.scheduler_table import RotationFailure
from mycelium_fractal_net.security.lifecycle.due import (
    LONGEST_PAUSE,
    Reason,
    may_retry,
    pause_after,
    reason_to_rotate,
    to_activate,
    to_erase,
    too_far,
)
from mycelium_fractal_net.security.records.keys import (
    DEFAULT_ROTATION,
    Key,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    RotationPolicy,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
OPENS = (KeyState.ACTIVE, KeyState.DEACTIVATED)


def version(number: int, state: KeyState = KeyState.ACTIVE, **more: object) -> KeyVersion:
    """A version that was made a day before the next one."""
    return KeyVersion(number, bytes([number]) * 8, state, NOW, b"w", **more)  # type: ignore[arg-type]


def key(*versions: KeyVersion, days: int = 90, rotate_at: datetime | None = None) -> Key:
    """A key with those versions."""
    return Key(
        "orders",
        KeyType.ENCRYPTION,
        KeyUse.DATA,
        "AES-256-GCM",
        RotationPolicy(days, 3),
        NOW,
        versions or (version(1),),
        rotate_at=rotate_at,
    )


# Minimum versions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_minimum_versions_never_cross_whatever_was_done_to_the_versions(count: int) -> None:
    """Of every combination of states, so of every sequence of verbs; each says what it means."""
    for states in itertools.product(KeyState, repeat=count):
        made = key(*(version(n, state) for n, state in enumerate(states, 1)))
        minimum = made.minimum_versions
        assert minimum.available <= minimum.decrypt <= minimum.encrypt <= minimum.latest == count
        newest = made.primary_or_none
        assert newest is None or newest.version == minimum.encrypt
        for each in made.versions:
            if each.version < minimum.available:
                assert each.state is KeyState.DESTROYED
            if each.version < minimum.decrypt:
                assert each.state not in OPENS


# Due ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead", "due"), [(timedelta(microseconds=1), False), (DAY * 0, True)])
def test_a_key_is_due_from_its_moment_on(ahead: timedelta, due: bool) -> None:
    """Not a microsecond before."""
    found = reason_to_rotate(key(rotate_at=NOW + ahead), NOW, ())
    assert found is (Reason.DUE if due else None)


def test_a_key_of_before_schedules_is_due_an_interval_after_its_newest_version() -> None:
    """A store that was brought up to date has no moment of its own yet."""
    made = key(days=7)
    assert reason_to_rotate(made, NOW + 7 * DAY, ()) is Reason.DUE
    assert reason_to_rotate(made, NOW + 7 * DAY - timedelta(seconds=1), ()) is None


def test_only_the_version_that_protects_can_be_used_up() -> None:
    """An older one encrypts nothing more; one that waits has not begun."""
    waiting = version(3, KeyState.PRE_ACTIVATION, activate_at=NOW + DAY)
    made = key(version(1), version(2), waiting)
    assert reason_to_rotate(made, NOW, [version(2).handle]) is Reason.USE
    assert reason_to_rotate(made, NOW, [version(1).handle, waiting.handle]) is None


def test_what_waits_for_a_backup_gets_no_further_version() -> None:
    """It would wait as well, look after look."""
    made = key(version(1), version(2, KeyState.PRE_ACTIVATION), rotate_at=NOW)
    assert reason_to_rotate(made, NOW, [version(1).handle]) is None
    assert to_activate(made, NOW)


def test_a_version_is_activated_and_erased_from_its_moment_on() -> None:
    """Each at its own."""
    waiting = version(2, KeyState.PRE_ACTIVATION, activate_at=NOW)
    going = version(1, KeyState.PENDING_DESTRUCTION, destroy_at=NOW)
    made = key(going, waiting)
    before = NOW - timedelta(microseconds=1)
    assert (to_activate(made, before), to_activate(made, NOW)) == (False, True)
    assert (to_erase(made, before), to_erase(made, NOW)) == (False, True)


# Clocks -------------------------------------------------------------------------------------------


@given(st.integers(1, 36_500), st.timedeltas(timedelta(0), timedelta(days=36_500)))
def test_a_due_moment_is_set_back_where_only_a_clock_ahead_can_have_written_it(
    days: int, ahead: timedelta
) -> None:
    """Further than an interval and a day; then it is an interval from now."""
    interval = days * DAY
    made = key(days=days, rotate_at=NOW + ahead)
    assert too_far(made, NOW, NOW) == (NOW + interval if ahead > interval + DAY else None)


def test_a_moment_after_an_activation_is_not_set_back() -> None:
    """It counts from when the version begins to protect."""
    at = NOW + 500 * DAY
    waiting = version(2, KeyState.PRE_ACTIVATION, activate_at=at)
    made = key(version(1), waiting, rotate_at=at + 90 * DAY)
    assert too_far(made, NOW, NOW) is None
    assert too_far(replace(made, rotate_at=at + 92 * DAY), NOW, NOW) == at + 90 * DAY


def test_the_schedule_of_a_key_that_is_rotated_by_hand_is_left_alone() -> None:
    """Nobody goes by it."""
    by_hand = replace(DEFAULT_ROTATION[KeyType.ENCRYPTION], automatic=False)
    made = replace(key(rotate_at=NOW + 10_000 * DAY), rotation=by_hand)
    assert too_far(made, NOW, NOW) is None


# Pauses -------------------------------------------------------------------------------------------


def test_a_pause_doubles_from_a_minute_to_an_hour() -> None:
    """And stays an hour, however often it fails."""
    minutes = [pause_after(count) / timedelta(minutes=1) for count in range(1, 9)]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_after(10**9) == LONGEST_PAUSE


@given(st.timedeltas(timedelta(days=-400), timedelta(days=400)))
def test_no_pause_is_longer_than_the_longest_whatever_the_clock_did(ahead: timedelta) -> None:
    """One that seems to be was written under a clock that ran ahead."""
    failure = RotationFailure("orders", 3, NOW, NOW + ahead, "x")
    assert may_retry(failure, NOW) is not (timedelta(0) < ahead <= LONGEST_PAUSE)
    assert may_retry(None, NOW)
