"""The plan's scheduler: schedules, rotation with versions, cleanup, and what a look does."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from mycelium_fractal_net import initialise
from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    InvalidInputError,
    KeyNotFoundError,
    KeyUsageError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_providers import (
    LocalKeyProvider,
    ManagesMasterKeys,
    StoredKeyProvider,
)
from mycelium_fractal_net.security.key_store import UsageStore, scheduler_table
from mycelium_fractal_net.security.key_store.backup_table import MadeBackup
from mycelium_fractal_net.security.key_store.rows import from_micros, micros
from mycelium_fractal_net.security.key_store.scheduler_table import SchedulerTable
from mycelium_fractal_net.security.key_store.usage import RAW_MESSAGES_ROTATE
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.keys import KeyState, Verb
from mycelium_fractal_net.security.rotation import KeyRotationScheduler, RunReport, ScheduledKey
from tests.support.algorithms import SIGNING
from tests.support.records import records
from tests.support.stores import Clock, keyring_over


@pytest.fixture
def scheduler(provider: LocalKeyProvider, clock: Clock) -> KeyRotationScheduler:
    """A scheduler over an empty store, on SQLite and on PostgreSQL."""
    return KeyRotationScheduler(provider, clock=clock)


@pytest.fixture
def local(local_provider: LocalKeyProvider, clock: Clock) -> KeyRotationScheduler:
    """A scheduler over an empty store on SQLite."""
    return KeyRotationScheduler(local_provider, clock=clock)


@pytest.fixture(params=[8, pytest.param(scheduler_table.PASS_KEYS, marks=pytest.mark.long)])
def in_a_pass(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """As many keys are read at a look, beside those that are due."""
    monkeypatch.setattr(scheduler_table, "PASS_KEYS", request.param)
    return int(request.param)


# The plan's three methods -------------------------------------------------------------------------


def test_a_key_is_rotated_when_its_schedule_says_so(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock
) -> None:
    """Not before, once when it is due, and again an interval later; all that was sealed opens."""
    provider.keys.create("orders")
    scheduler.schedule_rotation("orders", 30)
    with keyring_over(provider) as keyring:
        sealed = [keyring.encrypt(b"0", key_id="orders")]
        for version in (2, 3):
            clock.forward(days=29, hours=23)
            assert scheduler.run_once().rotated == ()
            clock.forward(hours=1)
            assert scheduler.run_once().rotated == (f"orders:v{version}",)
            assert scheduler.run_once().rotated == ()
            keyring.refresh()
            sealed.append(keyring.encrypt(b"%d" % (version - 1), key_id="orders"))
        assert [keyring.decrypt(each) for each in sealed] == [b"0", b"1", b"2"]
        assert [keyring.describe(each).version for each in sealed] == [1, 2, 3]


def test_a_schedule_is_kept_in_the_store(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock
) -> None:
    """Another scheduler, or a restart, goes by the same one."""
    provider.keys.create("orders")
    assert scheduler.schedule_rotation("orders", 7).rotation.interval_days == 7
    clock.forward(days=7)
    assert KeyRotationScheduler(provider, clock=clock).run_once().rotated == ("orders:v2",)


def test_a_key_is_rotated_at_once_when_asked(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock
) -> None:
    """It need not be due, and the next due time counts from it."""
    provider.keys.create("orders")
    clock.forward(days=10)
    assert scheduler.execute_rotation("orders") == "orders:v2"
    assert provider.keys.get("orders").rotation_due == clock.now + timedelta(days=90)


def test_old_versions_are_proposed_and_stay_until_something_says_they_may_go(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider
) -> None:
    """Cleaning up is for what is older than those retained, and strands nothing."""
    provider.keys.create("orders")
    for _ in range(4):
        scheduler.execute_rotation("orders")
    report = scheduler.cleanup_old_versions("orders", 3)
    assert [each.version_id for each in report.proposals] == ["orders:v1", "orders:v2"]
    assert report.moved == ()
    assert {each.state for each in provider.keys.get("orders").versions} == {KeyState.ACTIVE}
    with pytest.raises(InvalidInputError):
        scheduler.cleanup_old_versions("orders", 0)


def test_a_credential_is_rotated_by_its_holder_alone(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """Nobody else has its secret: the error says what to do, and a look counts those due."""
    credential, _ = local_provider.credentials.create("web", ("*",))
    ended, _ = local_provider.credentials.create("old", ("*",))
    local_provider.credentials.revoke(ended.credential_id)
    local_provider.credentials.create("short", ("*",), expires_at=clock.now + timedelta(days=5))
    for asked in (local.execute_rotation, lambda key: local.schedule_rotation(key, 30)):
        with pytest.raises(KeyUsageError, match="POST /credentials/self/rotate"):
            asked(credential.credential_id)
    assert local.run_once().credentials_due == 0
    clock.forward(days=90)
    assert local.run_once().credentials_due == 1


@pytest.mark.parametrize("name", ["nobody", "0123456789abcdef"])
def test_what_is_not_there_is_not_scheduled(local: KeyRotationScheduler, name: str) -> None:
    """Neither a key nor a credential."""
    for asked in (local.execute_rotation, local.unschedule_rotation):
        with pytest.raises(KeyNotFoundError):
            asked(name)


@pytest.mark.parametrize("days", [0, -1, 36_501])
def test_an_interval_has_bounds(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, days: int
) -> None:
    """1 to 36,500 days; nothing is changed by another one."""
    before = local_provider.keys.create("orders")
    with pytest.raises(InvalidInputError):
        local.schedule_rotation("orders", days)
    assert local_provider.keys.get("orders") == before


def test_a_version_is_not_rotated_but_its_key(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider
) -> None:
    """``orders:v1`` is not a key."""
    local_provider.keys.create("orders")
    with pytest.raises(InvalidInputError):
        local.execute_rotation("orders:v1")


# The plan's table ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key_type", "days", "retained"), [("encryption", 90, 3), ("mac", 90, 3), ("signing", 365, 2)]
)
def test_the_plans_table_is_the_default_of_each_type(
    local: KeyRotationScheduler,
    local_provider: LocalKeyProvider,
    clock: Clock,
    key_type: str,
    days: int,
    retained: int,
) -> None:
    """A key that is made without a word is rotated by it, and its old versions proposed."""
    local_provider.keys.create("one", key_type)
    for _ in range(retained):
        clock.forward(days=days - 1)
        assert local.run_once().rotated == ()
        clock.forward(days=1)
        report = local.run_once()
        assert len(report.rotated) == 1
    assert report.proposed == ("one:v1",)


# By use -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("automatic", [True, False])
def test_a_key_that_has_encrypted_enough_raw_messages_is_due_whatever_its_schedule_says(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, automatic: bool
) -> None:
    """At 2^31 of the version that protects, once; also where it is rotated by hand."""
    key = local_provider.keys.create("orders")
    if not automatic:
        local.unschedule_rotation("orders")
    usage = UsageStore(local_provider.store.database)
    usage.reserve_raw(key.latest.handle, RAW_MESSAGES_ROTATE - 1)
    assert local.run_once().rotated == ()
    usage.reserve_raw(key.latest.handle, 1)
    assert [(name, each.reason) for name, each in local.due()] == [("orders", "use")]  # type: ignore[union-attr]
    assert local.run_once().rotated == ("orders:v2",)
    assert local.run_once().rotated == ()


def test_a_key_that_is_switched_off_is_rotated_by_nobody(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """``automatic`` is false until it is scheduled again; then what was missed is one rotation."""
    local_provider.keys.create("orders")
    assert not local.unschedule_rotation("orders").rotation.automatic
    clock.forward(days=1000)
    assert local.run_once().rotated == ()
    assert list(local.due()) == []
    local.schedule_rotation("orders", 90)
    assert local.run_once().rotated == ("orders:v2",)
    assert local.run_once().rotated == ()


@pytest.mark.parametrize("verb", [Verb.SUSPEND, Verb.DEACTIVATE, Verb.COMPROMISE])
def test_a_key_that_was_taken_out_of_use_is_not_put_back_by_a_schedule(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock, verb: Verb
) -> None:
    """Whoever stopped its newest version decides; rotating it by hand is one way."""
    local_provider.keys.create("orders")
    local_provider.states.apply(verb, "orders")
    clock.forward(days=91)
    assert local.run_once().rotated == ()
    ((_, seen),) = local.status()
    assert isinstance(seen, ScheduledKey)
    assert (seen.protects, seen.due_at, seen.reason) == (False, None, None)
    if verb is Verb.SUSPEND:
        local_provider.states.apply(Verb.ACTIVATE, "orders")
        assert local.run_once().rotated == ("orders:v2",)


# Versions that wait -------------------------------------------------------------------------------


def test_a_version_is_activated_at_its_date(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock
) -> None:
    """Until then the former one protects; the next rotation counts from the activation."""
    provider.keys.create("orders")
    at = clock.now + timedelta(days=10)
    assert provider.rotate_key("orders", activate_at=at) == "orders:v2"
    with keyring_over(provider) as keyring:
        clock.forward(days=9)
        assert scheduler.run_once().activated == ()
        assert keyring.describe(keyring.encrypt(b"", key_id="orders")).version == 1
        clock.forward(days=1)
        assert scheduler.run_once().activated == ("orders:v2",)
        keyring.refresh()
        assert keyring.describe(keyring.encrypt(b"", key_id="orders")).version == 2
    clock.forward(days=89)
    assert scheduler.run_once().rotated == ()
    clock.forward(days=1)
    assert scheduler.run_once().rotated == ("orders:v3",)


def test_what_waits_for_its_destruction_is_erased_in_time(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """A look erases it once the window has passed, if another look was not long ago."""
    local_provider.keys.create("orders")
    local.execute_rotation("orders")
    local_provider.states.apply(Verb.DESTROY, "orders:v1")
    for _ in range(29):
        clock.forward(days=1)
        assert local.run_once().erased == ()
    clock.forward(days=1)
    assert local.run_once().erased == ("orders:v1",)
    assert not local_provider.keys.get("orders").version(1).wrapped


# Failures -----------------------------------------------------------------------------------------


def _forbid(provider: StoredKeyProvider, algorithm: str) -> None:
    provider.record_macs.policy = Policy(disallowed=(algorithm,))


def test_a_key_that_fails_does_not_stop_the_others(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock
) -> None:
    """It is tried again after a minute, two, four, up to an hour; then it is forgotten."""
    for name, key_type in (("a", "encryption"), ("b", "signing"), ("c", "encryption")):
        provider.keys.create(name, key_type)
        scheduler.schedule_rotation(name, 1)
    clock.forward(days=1)
    allowed = provider.policy
    _forbid(provider, SIGNING)
    report = scheduler.run_once()
    assert report.rotated == ("a:v2", "c:v2")
    assert [name for name, _ in report.failed] == ["b"]
    assert not report.ok
    assert not scheduler.healthy
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        clock.forward(minutes=pause, seconds=-1)
        report = scheduler.run_once()
        assert (report.waiting, report.failed) == (("b",), ())
        clock.forward(seconds=1)
        assert [name for name, _ in scheduler.run_once().failed] == ["b"]
    found = (each for _, each in scheduler.status())
    (failing,) = (each for each in found if isinstance(each, ScheduledKey) and each.failure)
    assert failing.failure is not None
    assert failing.failure.failures == 9
    assert SIGNING in failing.failure.reason
    provider.record_macs.policy = allowed
    clock.forward(hours=1)
    assert "b:v2" in scheduler.run_once().rotated
    assert scheduler.healthy
    for _, each in scheduler.status():
        assert isinstance(each, ScheduledKey)
        assert each.failure is None


def test_all_schedulers_share_the_pause_of_a_key(
    local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """What one found out, another does not try again at once."""
    first, second = (KeyRotationScheduler(local_provider, clock=clock) for _ in range(2))
    local_provider.keys.create("b", "signing")
    clock.forward(days=365)
    _forbid(local_provider, SIGNING)
    assert first.run_once().failed
    assert second.run_once().waiting == ("b",)


def test_a_record_that_was_edited_is_reported_and_the_others_are_rotated(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock
) -> None:
    """Whoever writes to the database stops the rotation of no other key."""
    for name in ("a", "b", "c"):
        provider.keys.create(name)
    with provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET interval_days = 3650 WHERE key_id = 'b'"))
    clock.forward(days=90)
    report = scheduler.run_once()
    assert report.rotated == ("a:v2", "c:v2")
    ((name, reason),) = report.failed
    assert name == "b"
    assert "fails its authentication" in reason
    seen = [(name, isinstance(each, ScheduledKey)) for name, each in scheduler.status()]
    assert seen == [("a", True), ("b", False), ("c", True)]
    assert scheduler.run_once().waiting == ("b",)


def test_a_store_that_does_not_answer_is_no_failure_of_a_key(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """The look fails as a whole, and the next one does its work."""
    local_provider.keys.create("orders")
    clock.forward(days=90)
    file = local_provider.store.database.file
    assert file is not None
    local_provider.store.database.close()
    moved = file.rename(file.with_name("away"))
    with pytest.raises(StoreUnavailableError):
        local.run_once()
    assert not local.healthy
    local_provider.store.database.close()
    moved.rename(file)
    assert local.run_once().rotated == ("orders:v2",)
    assert local.healthy


# Running ------------------------------------------------------------------------------------------


def test_it_runs_until_it_is_stopped(local_provider: LocalKeyProvider, clock: Clock) -> None:
    """In a thread, look after look; nothing that goes wrong ends it."""
    stop, looked = threading.Event(), threading.Event()
    reports: list[RunReport | None] = []

    def listen(report: RunReport | None) -> None:
        reports.append(report)
        if len(reports) == 1:
            raise RuntimeError("a listener that fails")
        if len(reports) == 3:
            looked.set()

    local_provider.keys.create("orders")
    clock.forward(days=90)
    scheduler = KeyRotationScheduler(local_provider, clock=clock, listener=listen)
    thread = threading.Thread(target=scheduler.run, args=(stop, 0.01))
    thread.start()
    assert looked.wait(10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert [None if each is None else each.rotated for each in reports[:2]] == [("orders:v2",), ()]
    assert scheduler.look_age < 60


def test_a_policy_that_is_changed_while_a_key_falls_due_is_obeyed(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """A look that saw it as due does not rotate a key that was switched off meanwhile."""
    key = local_provider.keys.create("orders")
    clock.forward(days=90)
    switched_off = replace(key.rotation, automatic=False)
    before = local_provider.keys.some

    def meanwhile(names):  # type: ignore[no-untyped-def]
        for name, found in before(names):
            local_provider.keys.set_rotation(name, switched_off)
            yield name, found

    local_provider.keys.some = meanwhile  # type: ignore[method-assign]
    assert local.run_once().rotated == ()
    assert local_provider.keys.get("orders").latest.version == 1


def test_the_page_of_rotation_works_as_it_stands(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/rotation.md shows the plan's class on a store that ``mfn init`` made."""
    page = (Path(__file__).parents[1] / "docs" / "rotation.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    with initialise(home=home) as keyring:
        keyring.provider.keys.create("orders")
    monkeypatch.setenv("MFN_HOME", str(home))
    exec(compile(block, "docs/rotation.md", "exec"), {})


def test_a_key_under_a_master_key_that_nobody_has_stops_no_other(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """It is reported and not noted for other schedulers: another machine may have that key."""
    for name in ("a", "b"):
        local_provider.keys.create(name)
    with local_provider.store.database.write() as connection:
        connection.execute(
            text("INSERT INTO mfn_authority_keys SELECT 'local:9', wrapped FROM mfn_authority_keys")
        )
        connection.execute(text("UPDATE mfn_keys SET master_id = 'local:9' WHERE key_id = 'a'"))
    clock.forward(days=90)
    for expected in (("b:v2",), ()):
        report = local.run_once()
        assert report.rotated == expected
        assert [name for name, _ in report.failed] == ["a"]
    assert SchedulerTable(local_provider.store.database).failures() == {}


def test_a_credential_that_was_edited_counts_as_none(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """It is refused everywhere, and stops no look."""
    for name in ("one", "two"):
        local_provider.credentials.create(name, ("*",))
    with local_provider.store.database.write() as connection:
        connection.execute(
            text("UPDATE mfn_credentials SET scopes = 'keys:read' WHERE name = 'one'")
        )
    clock.forward(days=90)
    report = local.run_once()
    assert (report.ok, report.credentials_due) == (True, 1)


def test_an_audit_log_that_cannot_be_written_stops_the_look(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """Nothing is rotated without its record, and it is no failure of the key."""
    local_provider.keys.create("orders")
    clock.forward(days=90)

    class Full:
        def change(self, *_: object, **__: object) -> None:
            raise AuditUnavailableError("no space")

    local_provider.audit = Full()  # type: ignore[assignment]
    with pytest.raises(AuditUnavailableError):
        local.run_once()
    assert not local.healthy
    local_provider.audit = None
    assert local.run_once().rotated == ("orders:v2",)


def test_a_failure_and_a_rotation_are_in_the_audit_log(home: Path) -> None:
    """With the scheduler as the actor, why, and what it came to."""
    with initialise(home=home) as keyring:
        provider = keyring.provider
        provider.clock = lambda: datetime.now(UTC) - timedelta(days=400)
        provider.keys.create("good")
        provider.keys.create("bad", "signing")
        _forbid(provider, SIGNING)
        report = KeyRotationScheduler(provider).run_once()
        assert {name for name, _ in report.failed} == {"bad"}
    told = [
        (r["key"], r["outcome"], r["actor"]) for r in records(home / "audit", event="key.rotate")
    ]
    assert told == [
        ("good:v2", "ok", "scheduler"),
        ("good:v2", "intent", "scheduler"),
        ("bad", "algorithm", "scheduler"),
    ]


def test_a_store_that_moves_to_another_master_key_is_told_of_no_rotation_that_was_none(
    home: Path,
) -> None:
    """A record that is not rotated is not written, wherever the store moves meanwhile."""
    with initialise(home=home) as keyring:
        provider = keyring.provider
        provider.keys.create("orders")
        former = provider.keys.get("orders")
        before = provider.store.require_status().master_id
        custodian = provider.custodian
        assert isinstance(custodian, ManagesMasterKeys)
        newest = custodian.add()
        material = provider.policy.generate_key_material("HMAC-SHA-256")
        wrapped = provider.wrapping.wrap(newest, material, provider.record_macs.binding)
        provider.store.move_to(before, newest, wrapped)
        assert provider.keys.rotate_if("orders", lambda _: None) is None
        assert provider.keys.get("orders") == former
        assert provider.rotate_key("orders") == "orders:v2"
        assert provider.keys.get("orders").master_id == newest
    outcomes = [r["key"] for r in records(home / "audit", event="key.rotate")]
    assert outcomes == ["orders:v2"] * 2


# What a look reads --------------------------------------------------------------------------------


def _due_times(provider: StoredKeyProvider) -> dict[str, datetime | None]:
    with provider.store.database.read() as connection:
        found = connection.execute(text("SELECT key_id, due_at FROM mfn_keys")).all()
    return {name: None if at is None else from_micros(at) for name, at in found}


def test_a_look_reads_what_is_due_and_the_next_hundred_keys(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock, in_a_pass: int
) -> None:
    """However many there are and whatever changes; look after look it comes by all of them."""
    names = [f"k{number:03}" for number in range(in_a_pass + 2)]
    for name in names:
        provider.keys.create(name)
    read: list[str] = []
    some = provider.keys.some

    def counted(wanted):  # type: ignore[no-untyped-def]
        read.extend(wanted)
        return some(wanted)

    provider.keys.some = counted  # type: ignore[method-assign]
    for expected in (names[:in_a_pass], names[in_a_pass:], names[:in_a_pass]):
        read.clear()
        assert scheduler.run_once().ok
        assert read == expected
    read.clear()
    scheduler.execute_rotation("k000")  # the store changes
    scheduler.run_once()
    assert read == names[in_a_pass:]
    clock.forward(days=89, hours=23)
    scheduler.run_once()
    clock.forward(hours=1)
    rotated = ("k000:v3", *(f"{name}:v2" for name in names[1:]))
    assert scheduler.run_once().rotated == rotated
    assert [name for name, _ in scheduler.due()] == []


def test_a_due_time_that_was_edited_delays_its_key_until_the_pass_comes_by(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock, in_a_pass: int
) -> None:
    """It is no part of the record; the pass over all keys does what is due, and mends it."""
    names = [f"k{number:03}" for number in range(in_a_pass + 1)]
    for name in names:
        local_provider.keys.create(name)
    with local_provider.store.database.write() as connection:
        connection.execute(
            text("UPDATE mfn_keys SET due_at = NULL WHERE key_id = :last"), {"last": names[-1]}
        )
    clock.forward(days=90)
    assert len(local.run_once().rotated) == in_a_pass
    assert _due_times(local_provider)[names[-1]] is None
    assert local.run_once().rotated == (f"{names[-1]}:v2",)
    assert _due_times(local_provider)[names[-1]] == clock.now + timedelta(days=90)


def test_a_due_time_is_written_with_each_record(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """And by a look where it is not known; whether old versions may go is asked once a day."""

    def due() -> datetime | None:
        return _due_times(local_provider)["orders"]

    at_once, day = from_micros(0), timedelta(days=1)
    local_provider.keys.create("orders")
    assert due() == clock.now + 90 * day
    local.schedule_rotation("orders", 30)
    assert due() == clock.now + 30 * day
    local.unschedule_rotation("orders")
    assert due() is None
    local.schedule_rotation("orders", 30)
    clock.forward(days=1)
    local_provider.keys.rotate("orders", activate_at=clock.now + 2 * day)
    assert due() == clock.now + 2 * day
    local_provider.states.apply(Verb.ACTIVATE, "orders:v2")
    local_provider.states.apply(Verb.DESTROY, "orders:v1", window_days=7)
    assert due() == clock.now + 7 * day
    for _ in range(3):
        local.execute_rotation("orders")
    assert due() == clock.now + 7 * day
    policy = local_provider.keys.get("orders").rotation
    local_provider.keys.set_rotation("orders", replace(policy, auto_destroy=True))
    assert due() == clock.now + 7 * day  # nothing goes before it is unused for 400 days
    local_provider.retirement.record_rewrap("orders", reason="all was moved")
    assert due() == at_once
    assert list(local.due()) == []  # there is something to ask, and nothing to rotate
    local.run_once()
    assert due() == clock.now + day
    with local_provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET due_at = 0"))
    local.run_once()
    assert due() == clock.now + day


def test_an_early_due_time_is_left_until_it_has_come(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """A look writes only what would be too late, or would have it look for nothing each time."""
    local_provider.keys.create("orders")
    soon = clock.now + timedelta(hours=1)
    with local_provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET due_at = :at"), {"at": micros(soon)})
    local.run_once()
    assert _due_times(local_provider) == {"orders": soon}
    clock.forward(hours=1)
    local.run_once()
    assert _due_times(local_provider) == {"orders": clock.now + timedelta(days=90, hours=-1)}


def test_credentials_that_are_due_are_found_by_their_age(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock
) -> None:
    """Since their last rotation; none that has ended or was revoked."""
    ends = clock.now + timedelta(days=89)
    made = {name: provider.credentials.create(name, ("*",))[0] for name in ("a", "b", "c")}
    provider.credentials.create("short", ("*",), expires_at=ends)
    clock.forward(days=1)
    provider.credentials.rotate(made["b"].credential_id, overlap=timedelta(days=1))
    provider.credentials.revoke(made["c"].credential_id)
    clock.forward(days=88, hours=23)
    assert scheduler.run_once().credentials_due == 0
    clock.forward(hours=1)
    assert scheduler.run_once().credentials_due == 1
    clock.forward(days=1)
    assert scheduler.run_once().credentials_due == 2


def test_whether_there_is_a_backup_is_asked_once_a_day_and_when_one_is_made(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """So that many keys that wait cost a look nothing."""
    local_provider.keys.require_backup = True
    handle = local_provider.keys.create("orders").latest.handle
    assert _due_times(local_provider) == {"orders": from_micros(0)}
    assert local.run_once().activated == ()
    assert _due_times(local_provider) == {"orders": clock.now + timedelta(days=1)}
    store = local_provider.store
    master_id = store.require_status().master_id
    store.record_backup(MadeBackup("b", micros(clock.now), 1, master_id), [handle])
    assert _due_times(local_provider) == {"orders": from_micros(0)}
    assert local.run_once().activated == ("orders:v1",)
    assert _due_times(local_provider) == {"orders": clock.now + timedelta(days=90)}


def test_what_waits_for_a_backup_goes_on_as_soon_as_it_may(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider
) -> None:
    """A backup is no change of a key, so no look is calm before."""
    local_provider.keys.create("orders")
    local_provider.keys.require_backup = True
    local_provider.rotate_key("orders")
    assert local.run_once().activated == ()
    assert [(each.waits_for_backup, each.reason) for _, each in local.status()] == [(True, None)]  # type: ignore[union-attr]
    local_provider.keys.require_backup = False
    assert local.run_once().activated == ("orders:v2",)


def test_many_keys_that_wait_for_a_backup_are_asked_about_at_once(
    local: KeyRotationScheduler,
    local_provider: LocalKeyProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One question for all that a look comes by; nobody's record is read again for it."""
    local_provider.keys.require_backup = True
    handles = [local_provider.keys.create(f"k{number:02}").latest.handle for number in range(40)]
    local.run_once()
    asked: list[object] = []
    monkeypatch.setattr(
        local_provider.states, "activate_due", lambda *arguments, **_: asked.append(arguments)
    )
    assert local.run_once().activated == ()
    assert asked == []
    monkeypatch.undo()
    store = local_provider.store
    made = MadeBackup("b", 1, 1, store.require_status().master_id)
    store.record_backup(made, handles[:3])
    assert local.run_once().activated == ("k00:v1", "k01:v1", "k02:v1")


def test_a_setting_that_no_more_asks_for_backups_is_heeded_by_the_next_look(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock, in_a_pass: int
) -> None:
    """Also of a key that the pass over all keys comes by much later; one with a day still waits."""
    names = [f"k{number:03}" for number in range(in_a_pass + 5)]
    for name in names:
        local_provider.keys.create(name)
    local_provider.keys.require_backup = True
    local_provider.rotate_key(names[-1])
    local_provider.rotate_key(names[-2], activate_at=clock.now + timedelta(days=3))
    assert local.run_once().activated == ()
    assert local.run_once().activated == ()
    local_provider.keys.require_backup = False
    assert local.run_once().activated == (f"{names[-1]}:v2",)
