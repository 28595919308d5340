"""The plan's scheduler: schedules, rotation with versions, cleanup, and what a look does."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    KeyNotFoundError,
    KeyUsageError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_providers import LocalKeyProvider
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.key_store.usage import RAW_MESSAGES_ROTATE
from mycelium_fractal_net.security.keys import KeyState, Verb
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.rotation import KeyRotationScheduler, RunReport, ScheduledKey
from tests.support.stores import Clock, keyring_over


@pytest.fixture
def scheduler(provider: LocalKeyProvider, clock: Clock) -> KeyRotationScheduler:
    """A scheduler over an empty store, on SQLite and on PostgreSQL."""
    return KeyRotationScheduler(provider, clock=clock)


@pytest.fixture
def local(local_provider: LocalKeyProvider, clock: Clock) -> KeyRotationScheduler:
    """A scheduler over an empty store on SQLite."""
    return KeyRotationScheduler(local_provider, clock=clock)


# The plan's three methods -------------------------------------------------------------------------


def test_a_key_is_rotated_when_its_schedule_says_so(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock
) -> None:
    """Not before, once when it is due, and again an interval later; all that was sealed opens."""
    provider.create_key("orders")
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
    provider.create_key("orders")
    assert scheduler.schedule_rotation("orders", 7).rotation.interval_days == 7
    clock.forward(days=7)
    assert KeyRotationScheduler(provider, clock=clock).run_once().rotated == ("orders:v2",)


def test_a_key_is_rotated_at_once_when_asked(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock
) -> None:
    """It need not be due, and the next due time counts from it."""
    provider.create_key("orders")
    clock.forward(days=10)
    assert scheduler.execute_rotation("orders") == "orders:v2"
    assert provider.key("orders").rotation_due == clock.now + timedelta(days=90)


def test_old_versions_are_proposed_and_stay_until_something_says_they_may_go(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider
) -> None:
    """Cleaning up is for what is older than those retained, and strands nothing."""
    provider.create_key("orders")
    for _ in range(4):
        scheduler.execute_rotation("orders")
    report = scheduler.cleanup_old_versions("orders", 3)
    assert [each.version_id for each in report.proposals] == ["orders:v1", "orders:v2"]
    assert report.moved == ()
    assert {each.state for each in provider.key("orders").versions} == {KeyState.ACTIVE}
    with pytest.raises(InvalidInputError):
        scheduler.cleanup_old_versions("orders", 0)


def test_a_credential_is_rotated_by_its_holder_alone(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """Nobody else has its secret: the error says what to do, and a look counts those due."""
    credential, _ = local_provider.create_credential("web", ("*",))
    ended, _ = local_provider.create_credential("old", ("*",))
    local_provider.revoke_credential(ended.credential_id)
    local_provider.create_credential("short", ("*",), expires_at=clock.now + timedelta(days=5))
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
    before = local_provider.create_key("orders")
    with pytest.raises(InvalidInputError):
        local.schedule_rotation("orders", days)
    assert local_provider.key("orders") == before


def test_a_version_is_not_rotated_but_its_key(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider
) -> None:
    """``orders:v1`` is not a key."""
    local_provider.create_key("orders")
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
    local_provider.create_key("one", key_type)
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
    key = local_provider.create_key("orders")
    if not automatic:
        local.unschedule_rotation("orders")
    usage = UsageStore(local_provider.store.database)
    usage.reserve_raw(key.latest.handle, RAW_MESSAGES_ROTATE - 1)
    assert local.run_once().rotated == ()
    usage.reserve_raw(key.latest.handle, 1)
    assert [(each.key.key_id, each.reason) for each in local.due()] == [("orders", "use")]
    assert local.run_once().rotated == ("orders:v2",)
    assert local.run_once().rotated == ()


def test_a_key_that_is_switched_off_is_rotated_by_nobody(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """``automatic`` is false until it is scheduled again; then what was missed is one rotation."""
    local_provider.create_key("orders")
    assert not local.unschedule_rotation("orders").rotation.automatic
    clock.forward(days=1000)
    assert local.run_once().rotated == ()
    assert local.due() == []
    local.schedule_rotation("orders", 90)
    assert local.run_once().rotated == ("orders:v2",)
    assert local.run_once().rotated == ()


@pytest.mark.parametrize("verb", [Verb.SUSPEND, Verb.DEACTIVATE, Verb.COMPROMISE])
def test_a_key_that_was_taken_out_of_use_is_not_put_back_by_a_schedule(
    local: KeyRotationScheduler, local_provider: LocalKeyProvider, clock: Clock, verb: Verb
) -> None:
    """Whoever stopped its newest version decides; rotating it by hand is one way."""
    local_provider.create_key("orders")
    local_provider.apply(verb, "orders")
    clock.forward(days=91)
    assert local.run_once().rotated == ()
    ((_, seen),) = local.status()
    assert isinstance(seen, ScheduledKey)
    assert (seen.protects, seen.due_at, seen.reason) == (False, None, None)
    if verb is Verb.SUSPEND:
        local_provider.apply(Verb.ACTIVATE, "orders")
        assert local.run_once().rotated == ("orders:v2",)


# Versions that wait -------------------------------------------------------------------------------


def test_a_version_is_activated_at_its_date(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock
) -> None:
    """Until then the former one protects; the next rotation counts from the activation."""
    provider.create_key("orders")
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
    local_provider.create_key("orders")
    local.execute_rotation("orders")
    local_provider.apply(Verb.DESTROY, "orders:v1")
    for _ in range(29):
        clock.forward(days=1)
        assert local.run_once().erased == ()
    clock.forward(days=1)
    assert local.run_once().erased == ("orders:v1",)
    assert not local_provider.key("orders").version(1).wrapped


# Failures -----------------------------------------------------------------------------------------


def _forbid(provider: LocalKeyProvider, algorithm: str) -> None:
    provider.policy = Policy.from_settings(disallowed_algorithms=(algorithm,))


def test_a_key_that_fails_does_not_stop_the_others(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock
) -> None:
    """It is tried again after a minute, two, four, up to an hour; then it is forgotten."""
    for name, key_type in (("a", "encryption"), ("b", "signing"), ("c", "encryption")):
        provider.create_key(name, key_type)
        scheduler.schedule_rotation(name, 1)
    clock.forward(days=1)
    allowed = provider.policy
    _forbid(provider, "Ed25519")
    report = scheduler.run_once()
    assert report.rotated == ("a:v2", "c:v2")
    assert [name for name, _ in report.failed] == ["b"]
    assert not report.ok
    assert not scheduler.healthy
    pauses: list[int] = []
    since = clock.now
    while len(pauses) < 8:
        report = scheduler.run_once()
        if report.failed:
            pauses.append(round((clock.now - since).total_seconds() / 60))
            since = clock.now
        else:
            assert report.waiting == ("b",)
        clock.forward(minutes=1)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    found = (each for _, each in scheduler.status())
    (failing,) = (each for each in found if isinstance(each, ScheduledKey) and each.failure)
    assert failing.failure is not None
    assert failing.failure.failures == 9
    assert "Ed25519" in failing.failure.reason
    provider.policy = allowed
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
    local_provider.create_key("b", "signing")
    clock.forward(days=365)
    _forbid(local_provider, "Ed25519")
    assert first.run_once().failed
    assert second.run_once().waiting == ("b",)


def test_a_record_that_was_edited_is_reported_and_the_others_are_rotated(
    scheduler: KeyRotationScheduler, provider: LocalKeyProvider, clock: Clock
) -> None:
    """Whoever writes to the database stops the rotation of no other key."""
    for name in ("a", "b", "c"):
        provider.create_key(name)
    with provider.store.database.write() as connection:
        connection.execute(text("UPDATE keys SET interval_days = 3650 WHERE key_id = 'b'"))
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
    local_provider.create_key("orders")
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

    local_provider.create_key("orders")
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
    key = local_provider.create_key("orders")
    clock.forward(days=90)
    switched_off = replace(key.rotation, automatic=False)
    before = local_provider.authentic_keys

    def meanwhile():  # type: ignore[no-untyped-def]
        for name, found in before():
            local_provider.set_rotation(name, switched_off)
            yield name, found

    local_provider.authentic_keys = meanwhile  # type: ignore[method-assign]
    assert local.run_once().rotated == ()
    assert local_provider.key("orders").latest.version == 1
