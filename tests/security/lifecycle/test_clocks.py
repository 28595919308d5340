"""Clocks that jump, days that are missed, restarts, schedulers that overtake each other.

At most one rotation for each due time, and none is lost: after any look, under whatever clock, the
next due time lies ahead, and no further than an interval and a day, unless the clock was seen
further on before.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mycelium_fractal_net.security.key_providers import LocalKeyProvider
from mycelium_fractal_net.security.key_store.scheduler_table import RotationFailure, SchedulerTable
from mycelium_fractal_net.security.records.keys import Key, Verb
from mycelium_fractal_net.security.rotation import KeyRotationScheduler, RunReport
from tests.support.stores import MEMORY, Clock, open_provider

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mycelium_fractal_net.security.errors import MfnError

INTERVAL = timedelta(days=10)
DAY = timedelta(days=1)
KEYS = ("a", "b")

hours = st.integers(-24 * 30, 24 * 30).map(lambda each: timedelta(hours=each))
years = st.sampled_from([-1000, -365, 365, 1000]).map(lambda each: timedelta(days=each))
minutes = st.integers(0, 90).map(lambda each: timedelta(minutes=each))
steps = hours | years | minutes


@dataclass
class Place:
    """A store, its clock, and the schedulers that work on it."""

    provider: LocalKeyProvider
    clock: Clock
    home: Path
    opened: list[LocalKeyProvider] = field(default_factory=list)
    seen: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    def scheduler(self, *, restarted: bool = False) -> KeyRotationScheduler:
        """A scheduler; where it is restarted, over connections of its own."""
        provider = self.provider
        if restarted:
            provider = open_provider(f"sqlite:///{self.home / 'keys.db'}", self.home, self.clock)
            self.opened.append(provider)
        return KeyRotationScheduler(provider, clock=self.clock)


@pytest.fixture
def place(local_provider: LocalKeyProvider, home: Path, clock: Clock) -> Place:
    """A store with a key that is due every ten days."""
    for name in KEYS:
        local_provider.keys.create(name)
        KeyRotationScheduler(local_provider).schedule_rotation(name, INTERVAL.days)
    return Place(local_provider, clock, home)


def look_and_check(place: Place, scheduler: KeyRotationScheduler) -> RunReport:
    """One look: what was due is rotated once, what was not is not, and nothing rests too long."""
    before = {name: place.provider.keys.get(name) for name in KEYS}
    now = place.clock.now
    place.seen = max(place.seen, now)
    report = scheduler.run_once()
    for name, key in before.items():
        after = place.provider.keys.get(name)
        due = key.rotation_due <= now
        assert after.latest.version - key.latest.version == int(due)
        assert (f"{name}:v{after.latest.version}" in report.rotated) is due
        assert now < after.rotation_due <= max(now, place.seen) + INTERVAL + DAY
    return report


histories = st.lists(st.tuples(steps, st.integers(0, 2)), min_size=1, max_size=12)


@settings(max_examples=5)
@given(histories)
def test_one_rotation_for_each_due_time_whatever_clocks_do(
    jumps: list[tuple[timedelta, int]],
) -> None:
    """Over clocks that jump by minutes and by years, both ways, with three schedulers in turn."""
    look_after_each(jumps)


@pytest.mark.long
@settings(max_examples=60)
@given(histories)
def test_one_rotation_for_each_due_time_however_often_it_is_tried(
    jumps: list[tuple[timedelta, int]],
) -> None:
    """The same with many more clocks."""
    look_after_each(jumps)


def look_after_each(jumps: list[tuple[timedelta, int]]) -> None:
    """Three schedulers over one clock, one of which looks after each jump of it."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        clock = Clock()
        provider = open_provider(f"sqlite:///{home / 'keys.db'}", home, clock)
        with closing(provider.store.database):
            for name in KEYS:
                provider.keys.create(name)
                KeyRotationScheduler(provider).schedule_rotation(name, INTERVAL.days)
            here = Place(provider, clock, home)
            schedulers = [here.scheduler() for _ in range(2)]
            for jump, which in jumps:
                clock.now += jump
                # The third is one that has just been started.
                chosen = here.scheduler(restarted=True) if which == 2 else schedulers[which]
                look_and_check(here, chosen)
                assert schedulers[0].run_once().rotated == ()
            for opened in here.opened:
                opened.store.database.close()


class Overtaken(KeyRotationScheduler):
    """A scheduler that is stopped between what it saw and what it does about it."""

    def __init__(
        self, place: Place, meanwhile: list[timedelta], *, before_it_saw: bool = False
    ) -> None:
        provider = open_provider(f"sqlite:///{place.home / 'keys.db'}", place.home, place.clock)
        place.opened.append(provider)
        seen = provider.keys.some

        def stopped(names: Sequence[str]) -> Iterator[tuple[str, Key | MfnError]]:
            found = [*seen(names)]
            for jump in meanwhile:
                place.clock.now += jump
                self.others.append(place.scheduler().run_once())
            yield from seen(names) if before_it_saw else found

        provider.keys.some = stopped  # type: ignore[method-assign,assignment]
        self.others: list[RunReport] = []
        super().__init__(provider, clock=place.clock)


@pytest.mark.parametrize(
    "meanwhile",
    [
        [timedelta(0)],
        [timedelta(days=-400)],
        [timedelta(days=400), timedelta(days=-800)],
        [timedelta(days=3), timedelta(days=30), timedelta(days=-60)],
    ],
)
def test_who_is_overtaken_does_nothing(place: Place, meanwhile: list[timedelta]) -> None:
    """What it saw as due another has done, under whatever clock: the record is not what it saw."""
    place.clock.now += INTERVAL
    slow = Overtaken(place, meanwhile)
    mine = slow.run_once()
    done = [each for report in slow.others for each in report.rotated]
    if "a:v2" in done:
        assert mine.rotated == ()
    assert len({*done, *mine.rotated}) == len([*done, *mine.rotated])
    for opened in place.opened:
        opened.store.database.close()


def test_who_was_stopped_for_days_takes_nothing_for_a_clock_ahead(place: Place) -> None:
    """It read the clock, then slept while others rotated twice; what they wrote is not too far."""
    place.clock.now += INTERVAL
    slow = Overtaken(place, [timedelta(0), INTERVAL, INTERVAL], before_it_saw=True)
    report = slow.run_once()
    assert (report.rotated, report.set_back) == ((), ())
    due = place.provider.keys.get("a").rotation_due
    assert due == place.clock.now + INTERVAL
    assert place.scheduler().run_once().rotated == ()
    for opened in place.opened:
        opened.store.database.close()


def test_who_rotates_after_days_of_sleep_counts_from_when_it_woke(place: Place) -> None:
    """Else the next due time would have passed already, and be a second rotation."""
    place.clock.now += INTERVAL

    provider = place.provider
    seen = provider.keys.some

    def asleep(names: Sequence[str]) -> Iterator[tuple[str, Key | MfnError]]:
        place.clock.now += 5 * INTERVAL
        yield from seen(names)

    provider.keys.some = asleep  # type: ignore[method-assign,assignment]
    assert KeyRotationScheduler(provider, clock=place.clock).run_once().rotated == ("a:v2", "b:v2")
    provider.keys.some = seen  # type: ignore[method-assign]
    assert provider.keys.get("a").rotation_due == place.clock.now + INTERVAL
    assert place.scheduler().run_once().rotated == ()


def test_days_that_were_missed_are_one_rotation(place: Place) -> None:
    """A year without a scheduler, then one a day."""
    place.clock.now += timedelta(days=365)
    assert place.scheduler().run_once().rotated == ("a:v2", "b:v2")
    for _ in range(9):
        place.clock.now += DAY
        assert place.scheduler().run_once().rotated == ()
    place.clock.now += DAY
    assert place.scheduler().run_once().rotated == ("a:v3", "b:v3")


def test_a_clock_that_ran_ahead_leaves_no_key_at_rest(place: Place) -> None:
    """Rotated under a clock of the year after next, a key is due again once the clock of now has
    run on for a week: an interval from then.
    """
    place.clock.now += timedelta(days=730)
    assert len(place.scheduler().run_once().rotated) == 2
    place.clock.now -= timedelta(days=730)
    for _ in range(7):
        report = place.scheduler().run_once()
        assert (report.rotated, report.set_back) == ((), ())
        place.clock.now += DAY
    report = place.scheduler().run_once()
    assert (report.rotated, report.set_back) == ((), ("a", "b"))
    assert place.provider.keys.get("a").rotation_due == place.clock.now + INTERVAL
    assert place.scheduler().run_once().set_back == ()
    place.clock.now += INTERVAL
    assert len(place.scheduler().run_once().rotated) == 2


@pytest.mark.parametrize("back", [timedelta(days=20_000), timedelta(days=400)])
def test_a_clock_that_goes_back_and_comes_home_rotates_nothing(
    place: Place, back: timedelta
) -> None:
    """A machine that boots in 1970, again and again, with looks for days: the due times stay."""
    due = {name: place.provider.keys.get(name).rotation_due for name in KEYS}
    place.scheduler().run_once()
    for _ in range(3):
        right = place.clock.now
        place.clock.now -= back
        for _ in range(6):
            report = place.scheduler().run_once()
            assert (report.rotated, report.set_back) == ((), ())
            place.clock.now += DAY
        place.clock.now = right + timedelta(minutes=1)
        assert place.scheduler().run_once().rotated == ()
    assert {name: place.provider.keys.get(name).rotation_due for name in KEYS} == due
    place.clock.now = due["a"]
    assert len(place.scheduler().run_once().rotated) == 2


def test_who_rotates_by_hand_under_a_clock_of_before_is_not_rotated_again(place: Place) -> None:
    """The next due time counts from what the key's own record knows."""
    place.scheduler().run_once()
    right = place.clock.now
    place.clock.now -= timedelta(days=20_000)
    place.provider.rotate_key("a")
    place.clock.now = right + timedelta(minutes=1)
    assert place.scheduler().run_once().rotated == ()
    assert place.provider.keys.get("a").rotation_due == right + INTERVAL


def test_a_clock_that_was_seen_is_kept_over_jumps_and_gaps(place: Place) -> None:
    """A week counts only where it was one: looks at least every other day, and no jump."""
    table = SchedulerTable(place.provider.store.database)
    first = place.clock.now
    assert table.note_look(first).seen_until == first
    back = first - timedelta(days=100)
    assert table.note_look(back).seen_until == first
    assert table.note_look(back + 9 * DAY).seen_until == first  # a gap: the week begins anew
    for day in range(10, 16):
        assert table.note_look(back + day * DAY).seen_until == first
    assert table.note_look(back + 16 * DAY).seen_until == back + 16 * DAY
    assert table.note_look(first).seen_until == first


def test_a_pause_that_was_written_by_a_clock_ahead_is_no_pause(place: Place) -> None:
    """Nobody waits for it until then."""
    place.clock.now += INTERVAL
    table = SchedulerTable(place.provider.store.database)
    far = place.clock.now + timedelta(days=300)
    table.record_failure(RotationFailure("a", 5, far, far, "x"))
    soon = place.clock.now + timedelta(minutes=59)
    table.record_failure(RotationFailure("b", 5, place.clock.now, soon, "x"))
    report = place.scheduler().run_once()
    assert (report.rotated, report.waiting) == (("a:v2",), ("b",))
    assert set(table.failures()) == {"b"}


# Erasures -----------------------------------------------------------------------------------------


def test_a_clock_that_jumps_ahead_erases_nothing(place: Place) -> None:
    """A day is left to see it; once it is back nothing is held, and nothing was lost."""
    scheduler = place.scheduler()
    scheduler.run_once()
    scheduler.execute_rotation("a")
    place.provider.states.apply(Verb.DESTROY, "a:v1")
    for _ in range(2):
        place.clock.now += DAY
        scheduler.run_once()
    right = place.clock.now
    place.clock.now += timedelta(days=300)
    for _ in range(3):
        report = scheduler.run_once()
        assert report.erased == ()
        assert report.held_until is not None
        assert report.held_until > place.clock.now
        place.clock.now += timedelta(hours=7)
    place.clock.now = right + timedelta(hours=1)
    assert scheduler.run_once().held_until is None
    assert place.provider.keys.get("a").version(1).wrapped
    for _ in range(28):
        place.clock.now += DAY
        report = scheduler.run_once()
    assert report.erased == ("a:v1",)


def test_who_looks_after_a_long_time_holds_erasures_for_a_day(place: Place) -> None:
    """The first look of a store too: nobody can tell whether the clock is right."""
    scheduler = place.scheduler()
    assert scheduler.run_once().held_until == place.clock.now + DAY
    held = place.clock.now + DAY
    place.clock.now += timedelta(hours=23)
    assert scheduler.run_once().held_until == held
    place.clock.now += timedelta(hours=1)
    assert scheduler.run_once().held_until is None
    place.clock.now += 2 * DAY
    assert scheduler.run_once().held_until is None
    place.clock.now += 2 * DAY + timedelta(seconds=1)
    assert scheduler.run_once().held_until == place.clock.now + DAY


def test_machines_that_are_a_moment_apart_do_not_end_a_hold(place: Place) -> None:
    """Two looks at once may be noted in either order."""
    table = SchedulerTable(place.provider.store.database)
    now = place.clock.now
    held = table.note_look(now).held_until
    look = table.note_look(now - timedelta(seconds=5))
    assert (look.looked_at, look.held_until) == (now, held)
    assert table.last_look() == look
    back = table.note_look(now - timedelta(hours=2))
    assert back == (now - timedelta(hours=2), None, now)


def _never() -> datetime:
    raise AssertionError("the machine's clock is not asked")


def test_schedules_go_by_the_clock_of_the_store(provider: LocalKeyProvider, clock: Clock) -> None:
    """Not by that of the machine, which another machine does not share."""
    provider.keys.create("a")
    scheduler = KeyRotationScheduler(provider, clock=clock)
    clock.forward(days=90)
    provider.clock = _never
    assert scheduler.run_once().rotated == ("a:v2",)
    made = provider.keys.get("a")
    assert made.latest.created_at == clock.now
    assert made.rotation_due == clock.now + timedelta(days=90)
