"""Which old versions may go, by which of the three rules, and which never do."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.backup import record_backup, write_backup
from mycelium_fractal_net.security.errors import InvalidInputError, KeyStateError, KeyUsageError
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.key_store.rows import day_of
from mycelium_fractal_net.security.key_store.usage import LEASE, OPEN, PROTECT, REFUSED
from mycelium_fractal_net.security.lifecycle.retention import (
    cleanup_old_versions,
    propose,
    usage_of,
)
from mycelium_fractal_net.security.records.keys import KeyState, RotationPolicy, Verb
from mycelium_fractal_net.security.records.retention import (
    CleanupReport,
    DestructionReason,
    Proposal,
    past_retained,
)
from tests.support.stores import ON_SQLITE, Clock, keyring_over

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.keyring.keyring import Keyring

DESTROYING = RotationPolicy(90, 3, auto_destroy=True, unused_for_days=400)


class Store:
    """A key ``orders`` with five versions, of which the first two are old."""

    def __init__(self, provider: LocalKeyProvider, clock: Clock) -> None:
        self.provider, self.clock = provider, clock
        self.usage = UsageStore(provider.store.database)
        provider.keys.create("orders", rotation=RotationPolicy(90, 3))
        for _ in range(4):
            provider.rotate_key("orders")

    def handle(self, version: int) -> bytes:
        return self.provider.keys.get("orders").version(version).handle

    def state(self, version: int) -> KeyState:
        return self.provider.keys.get("orders").version(version).state

    def use(self, version: int, kind: str = OPEN, *, days: int = 0, count: int = 1) -> None:
        """Count uses of a version, on the clock's day or so many days later."""
        self.usage.add({(self.handle(version), day_of(self.clock()) + days, kind): count})

    def propose(self, retain: int = 3) -> list[Proposal]:
        return propose(self.provider, self.usage, "orders", retain, now=self.clock())

    def cleanup(
        self, retain: int = 3, *, reason: str | None = None, versions: list[str] | None = None
    ) -> CleanupReport:
        return cleanup_old_versions(
            self.provider, self.usage, "orders", retain,
            reason=reason, versions=versions, now=self.clock(),
        )  # fmt: skip


@pytest.fixture
def store(provider: LocalKeyProvider, clock: Clock) -> Store:
    """On SQLite and on PostgreSQL."""
    return Store(provider, clock)


# What is old ------------------------------------------------------------------------------------


def test_versions_past_the_retained_count_are_proposed_oldest_first(store: Store) -> None:
    """Five versions of which three stay: the first two."""
    assert [each.version_id for each in store.propose()] == ["orders:v1", "orders:v2"]


@ON_SQLITE
@pytest.mark.parametrize("retain", [5, 6, 10_000])
def test_nothing_is_proposed_while_all_versions_are_retained(store: Store, retain: int) -> None:
    """As many as there are, or more."""
    assert store.propose(retain) == []


@ON_SQLITE
@pytest.mark.parametrize("retain", [0, -1])
def test_to_retain_none_is_refused(store: Store, retain: int) -> None:
    """The newest version always stays."""
    with pytest.raises(InvalidInputError, match="retain_count"):
        store.propose(retain)
    with pytest.raises(InvalidInputError, match="retain_count"):
        store.cleanup(retain, reason="all of it")
    assert [store.state(each) for each in range(1, 6)] == [KeyState.ACTIVE] * 5


@ON_SQLITE
def test_the_newest_is_never_old(store: Store) -> None:
    """The least that may be retained is one, and that is the newest."""
    report = store.cleanup(1, reason="everything older")
    assert report.moved == ("orders:v1", "orders:v2", "orders:v3", "orders:v4")
    assert store.state(5) is KeyState.ACTIVE


@ON_SQLITE
def test_a_version_that_waits_is_neither_old_nor_among_those_that_stay(store: Store) -> None:
    """With one to retain it is the one that protects, not the one that is to come."""
    store.provider.rotate_key("orders", activate_at=store.clock() + timedelta(days=9))
    store.provider.rotate_key("orders", activate_at=store.clock() + timedelta(days=19))
    old = past_retained(store.provider.keys.get("orders"), 1)
    assert [each.version for each in old] == [1, 2, 3, 4]
    with pytest.raises(InvalidInputError, match="not proposed"):
        store.cleanup(1, reason="no", versions=["orders:v6"])


@ON_SQLITE
def test_the_version_that_protects_is_not_destroyed_beside_one_that_waits(store: Store) -> None:
    """It is not the latest any more, and still the only one that protects."""
    store.provider.rotate_key("orders", activate_at=store.clock() + timedelta(days=9))
    with pytest.raises(KeyStateError, match="protects new data"):
        store.provider.states.apply(Verb.DESTROY, "orders:v5")


@ON_SQLITE
def test_what_is_gone_or_going_is_not_among_those_that_stay(store: Store) -> None:
    """Three that can be used stay, whatever was destroyed between them."""
    store.provider.states.apply(Verb.DESTROY, "orders:v4")
    assert [each.version for each in store.propose()] == [1]


@ON_SQLITE
def test_old_versions_are_told_by_the_name_of_their_key(store: Store) -> None:
    """A version id is no key whose versions could be counted."""
    with pytest.raises(InvalidInputError, match="without a version"):
        propose(store.provider, store.usage, "orders:v1", 3)


# What is known of them --------------------------------------------------------------------------


def test_a_proposal_says_what_is_known_of_the_versions_use(store: Store) -> None:
    """Days and counts of each kind, the end of the last lease, and whether a backup holds it."""
    store.use(1, OPEN, count=3)
    store.use(1, OPEN, days=-5)
    store.use(1, PROTECT, days=-9, count=7)
    store.use(1, LEASE, days=1)
    first, second = store.propose()
    today = store.clock().date()
    assert (first.last_decrypted, first.decrypted) == (today, 4)
    assert (first.last_protected, first.protected) == (today - timedelta(days=9), 7)
    assert first.leased_until == today + timedelta(days=1)
    assert (first.state, first.created_at) == (KeyState.ACTIVE, store.clock())
    assert (second.last_decrypted, second.decrypted, second.leased_until) == (None, 0, None)
    assert (first.backed_up, first.may_go, first.decrypts) == (False, False, True)


def test_what_is_known_of_each_version_is_its_own(store: Store) -> None:
    """Refusals, the end of its window, and whether a backup holds it."""
    record_backup(store.provider, write_backup(store.provider, io.BytesIO()))
    store.provider.rotate_key("orders")
    store.use(2, REFUSED, days=-3, count=2)
    store.provider.states.apply(Verb.DESTROY, "orders:v1")
    uses = usage_of(store.provider, store.usage, store.provider.keys.get("orders"))
    day = store.clock().date() - timedelta(days=3)
    assert [(each.refused, each.last_refused) for each in uses[:3]] == [
        (0, None),
        (2, day),
        (0, None),
    ]
    window = store.clock() + timedelta(days=30)
    assert [each.destroy_at for each in uses] == [window, *[None] * 5]
    assert [each.backed_up for each in uses] == [*[True] * 5, False]


def test_a_day_that_was_begun_and_never_counted_is_a_use(store: Store) -> None:
    """A process that is killed loses its counts, and never the fact of use."""
    store.usage.begin_day(store.handle(1), day_of(store.clock()), OPEN)
    assert store.propose()[0].decrypted == 1


def test_a_keyring_of_this_process_is_asked_before_its_uses_are_judged(
    keyring: Keyring, clock: Clock
) -> None:
    """What it counted in memory is there at once."""
    message = keyring.encrypt(b"x", key_id="orders")
    for _ in range(5):
        keyring.decrypt(message)
    (use,) = usage_of(keyring.provider, keyring.usage, keyring.provider.keys.get("orders"))
    assert (use.decrypted, use.protected, use.last_decrypted) == (5, 1, clock().date())


# (a) An operator's word -------------------------------------------------------------------------


@ON_SQLITE
def test_without_a_reason_and_a_rule_nothing_moves(store: Store) -> None:
    """However old it is, and though nobody has ever used it."""
    store.clock.forward(days=4000)
    report = store.cleanup()
    assert report == CleanupReport("orders", 3, report.proposals)
    assert report.destroy_at is None
    assert [each.reason for each in report.proposals] == [None, None]
    assert "nothing says that its data was moved" in report.proposals[0].why


def test_with_a_reason_all_that_is_proposed_moves(store: Store) -> None:
    """Also what was used today: it is a word, and it can be cancelled."""
    store.use(1)
    report = store.cleanup(reason="the archive is gone")
    assert (report.key_id, report.retain_count) == ("orders", 3)
    assert report.moved == ("orders:v1", "orders:v2")
    assert report.destroy_at == store.clock() + timedelta(days=30)
    assert [store.state(each) for each in (1, 2, 3)] == [
        KeyState.PENDING_DESTRUCTION, KeyState.PENDING_DESTRUCTION, KeyState.ACTIVE,
    ]  # fmt: skip


def test_a_reason_moves_only_the_versions_that_it_names(store: Store) -> None:
    """The others stay proposed."""
    report = store.cleanup(reason="not needed", versions=["orders:v2"])
    assert report.moved == ("orders:v2",)
    assert store.state(1) is KeyState.ACTIVE


@ON_SQLITE
@pytest.mark.parametrize("version", ["orders:v3", "orders:v5", "orders:v9", "letters:v1"])
def test_a_version_that_is_not_proposed_is_refused_and_nothing_moves(
    store: Store, version: str
) -> None:
    """Of those that are retained, and of what is not there; the rest of the list stays, too."""
    with pytest.raises(InvalidInputError, match="is not proposed"):
        store.cleanup(reason="no", versions=["orders:v1", version])
    assert store.state(1) is KeyState.ACTIVE


@ON_SQLITE
def test_what_is_no_version_is_not_repeated(store: Store) -> None:
    """Whoever reads the error reads no line of whoever wrote the request."""
    with pytest.raises(InvalidInputError, match="a version id adds") as caught:
        store.cleanup(reason="no", versions=["orders:v1\nERROR"])
    assert "ERROR" not in str(caught.value)


@ON_SQLITE
@pytest.mark.parametrize("reason", ["", "  \t"])
def test_a_reason_without_a_word_is_refused(store: Store, reason: str) -> None:
    """It is for whoever reads the audit log."""
    with pytest.raises(InvalidInputError, match="reason"):
        store.cleanup(reason=reason)


@ON_SQLITE
@pytest.mark.parametrize(("days", "accepted"), [(6, False), (7, True), (365, True), (366, False)])
def test_the_window_is_seven_days_at_least(store: Store, days: int, accepted: bool) -> None:
    """As AWS KMS has it; a year at most."""

    def clean() -> CleanupReport:
        return cleanup_old_versions(
            store.provider, store.usage, "orders", 3, reason="old", window_days=days
        )

    if accepted:
        assert clean().destroy_at == store.clock() + timedelta(days=days)
    else:
        with pytest.raises(InvalidInputError, match="between 7 and 365"):
            clean()


@ON_SQLITE
def test_a_suspended_version_goes_by_a_word_alone(store: Store) -> None:
    """Nobody could use it, so that it is unused says nothing."""
    store.provider.states.apply(Verb.SUSPEND, "orders:v1")
    store.provider.keys.set_rotation("orders", DESTROYING)
    store.clock.forward(days=500)
    assert store.cleanup().moved == ("orders:v2",)
    assert "suspended" in store.propose()[0].why
    assert store.cleanup(reason="known to be empty").moved == ("orders:v1",)


# (b) A finished rewrap --------------------------------------------------------------------------


def test_a_version_whose_data_was_rewrapped_goes(store: Store) -> None:
    """The rewrap itself has opened it, on that very day."""
    store.use(1, count=1000)
    store.provider.retirement.record_rewrap("orders", reason="all of the archive")
    assert store.cleanup().moved == ("orders:v1", "orders:v2")


@pytest.mark.parametrize("kind", [OPEN, PROTECT])
@pytest.mark.parametrize("days", [0, 1, 200])
def test_a_use_after_the_rewrap_keeps_the_version(store: Store, kind: str, days: int) -> None:
    """On the same day, too: what is counted beyond the rewrap's own uses is later."""
    store.use(1, count=1000)
    store.provider.retirement.record_rewrap("orders", reason="all of the archive")
    store.use(1, kind, days=days)
    report = store.cleanup()
    assert report.moved == ("orders:v2",)
    assert "used after the rewrap" in report.proposals[0].why


@ON_SQLITE
def test_a_day_that_begins_after_the_rewrap_keeps_the_version(store: Store) -> None:
    """Before its first use is counted: the fact is enough."""
    store.provider.retirement.record_rewrap("orders", reason="all of the archive")
    store.usage.begin_day(store.handle(1), day_of(store.clock()), OPEN)
    assert store.cleanup().moved == ("orders:v2",)


def test_a_rewrap_that_is_recorded_again_is_the_one_that_counts(store: Store) -> None:
    """What was missed the first time was moved since."""
    store.provider.retirement.record_rewrap("orders", reason="the archive")
    store.use(1)
    assert store.cleanup().moved == ("orders:v2",)
    store.provider.retirement.record_rewrap("orders", reason="and what was missed")
    assert store.cleanup().moved == ("orders:v1",)


def test_a_compromised_version_goes_when_its_data_was_moved(store: Store) -> None:
    """It is what a rewrap after a compromise is for."""
    store.provider.states.apply(Verb.COMPROMISE, "orders:v1")
    store.provider.retirement.record_rewrap("orders", reason="moved off it")
    assert "orders:v1" in store.cleanup().moved
    assert store.provider.keys.get("orders").version(1).compromised


@ON_SQLITE
def test_the_newest_version_is_not_marked_by_a_rewrap(store: Store) -> None:
    """That is where the data went."""
    key = store.provider.retirement.record_rewrap("orders", reason="moved")
    assert [each.rewrapped_at is None for each in key.versions] == [False] * 4 + [True]


@ON_SQLITE
@pytest.mark.parametrize("verb", [Verb.SUSPEND, Verb.DESTROY])
def test_a_rewrap_says_nothing_of_versions_that_it_could_not_open(store: Store, verb: Verb) -> None:
    """Their data was not moved."""
    store.provider.states.apply(verb, "orders:v1")
    assert (
        store.provider.retirement.record_rewrap("orders", reason="moved").version(1).rewrapped_at
        is None
    )


def test_a_rewrap_is_not_recorded_while_a_lease_runs(store: Store) -> None:
    """Whoever holds the data key seals under the old version until its end."""
    store.use(2, LEASE, days=1)
    with pytest.raises(KeyStateError, match="orders:v2 may be in use until the end of 2026-03-02"):
        store.provider.retirement.record_rewrap("orders", reason="moved")
    store.clock.forward(days=1)
    assert store.provider.retirement.record_rewrap("orders", reason="moved").version(2).rewrapped_at


def test_a_rewrap_is_not_recorded_where_a_later_use_is_known(store: Store) -> None:
    """Of two clocks one is wrong, and nobody knows which."""
    store.use(1, OPEN, days=3)
    with pytest.raises(KeyStateError, match="on record for 2026-03-04"):
        store.provider.retirement.record_rewrap("orders", reason="moved")
    assert store.provider.keys.get("orders").version(1).rewrapped_at is None


def test_a_rewrap_is_recorded_for_a_key_with_a_reason(store: Store) -> None:
    """By its name, of a key that seals, and with a word for the audit log."""
    with pytest.raises(InvalidInputError, match="reason"):
        store.provider.retirement.record_rewrap("orders", reason=" ")
    with pytest.raises(InvalidInputError, match="without a version"):
        store.provider.retirement.record_rewrap("orders:v1", reason="moved")
    store.provider.keys.create("tags", "mac")
    with pytest.raises(KeyUsageError, match="seals nothing"):
        store.provider.retirement.record_rewrap("tags", reason="moved")


@ON_SQLITE
def test_a_key_without_older_versions_is_not_changed_by_a_rewrap(store: Store) -> None:
    """There is nothing that could have been moved."""
    before = store.provider.keys.create("letters")
    assert (
        store.provider.retirement.record_rewrap("letters", reason="moved").revision
        == before.revision
    )


def test_a_rewrap_counts_what_keyrings_of_this_process_have_in_memory(
    local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """Else the rewrap's own uses, written later, would look like uses after it."""
    local_provider.keys.create("orders")
    with keyring_over(local_provider) as keyring:
        message = keyring.encrypt(b"x", key_id="orders")
        local_provider.rotate_key("orders")
        keyring.refresh()
        for _ in range(3):
            message = keyring.rewrap(message)
            keyring.decrypt(message)
        local_provider.retirement.record_rewrap("orders", reason="moved")
    report = cleanup_old_versions(
        local_provider, UsageStore(local_provider.store.database), "orders", 1, now=clock()
    )
    assert report.moved == ("orders:v1",)


# (c) Unused, where the policy says so -----------------------------------------------------------


def test_an_unused_version_goes_where_the_policy_destroys(store: Store) -> None:
    """After so many days, and not one before."""
    store.provider.keys.set_rotation("orders", DESTROYING)
    store.use(1)
    store.clock.forward(days=399)
    assert store.cleanup().moved == ()
    assert "in use on 2026-03-01" in store.propose()[0].why
    store.clock.forward(days=1)
    assert store.cleanup().moved == ("orders:v1", "orders:v2")


@ON_SQLITE
def test_an_unused_version_stays_where_the_policy_does_not_destroy(store: Store) -> None:
    """Which is so unless somebody has asked for it."""
    store.clock.forward(days=4000)
    assert store.cleanup().moved == ()


@pytest.mark.parametrize("kind", [OPEN, PROTECT, LEASE])
def test_every_kind_of_use_keeps_a_version(store: Store, kind: str) -> None:
    """A lease until its end, which lies ahead of its grant."""
    store.provider.keys.set_rotation("orders", DESTROYING)
    store.use(1, kind, days=10)
    store.clock.forward(days=405)
    assert store.cleanup().moved == ("orders:v2",)


@ON_SQLITE
def test_a_longer_time_may_be_asked_for(store: Store) -> None:
    """400 days are the least."""
    policy = replace(DESTROYING, unused_for_days=800)
    store.provider.keys.set_rotation("orders", policy)
    store.clock.forward(days=799)
    assert store.cleanup().moved == ()
    store.clock.forward(days=1)
    assert store.cleanup().moved == ("orders:v1", "orders:v2")


@ON_SQLITE
def test_an_unused_compromised_version_stays(store: Store) -> None:
    """Its uses are refused where nobody allows them, so that it is unused says nothing."""
    store.provider.keys.set_rotation("orders", DESTROYING)
    store.provider.states.apply(Verb.COMPROMISE, "orders:v1")
    store.clock.forward(days=500)
    assert store.cleanup().moved == ("orders:v2",)


def test_a_version_that_was_kept_is_not_destroyed_again_at_the_next_look(store: Store) -> None:
    """Cancelling says that somebody wants it: neither reason holds any more."""
    store.provider.keys.set_rotation("orders", DESTROYING)
    store.provider.retirement.record_rewrap("orders", reason="moved")
    store.clock.forward(days=500)
    assert {each.reason for each in store.propose()} == {DestructionReason.REWRAPPED}
    assert "orders:v1" in store.cleanup().moved
    kept = store.provider.states.apply(Verb.CANCEL_DESTRUCTION, "orders:v1").version(1)
    assert (kept.state, kept.rewrapped_at) == (KeyState.DEACTIVATED, None)
    assert store.cleanup().moved == ()
    assert store.propose()[0].last_kept == date(2027, 7, 14)
    store.clock.forward(days=400)
    assert store.cleanup().moved == ("orders:v1",)


# Clocks and races -------------------------------------------------------------------------------


def test_a_machine_that_is_ahead_of_the_store_moves_nothing_early(store: Store) -> None:
    """Of the two clocks the earlier one counts."""
    store.provider.keys.set_rotation("orders", DESTROYING)
    before = store.clock()
    store.clock.forward(days=4000)
    report = cleanup_old_versions(store.provider, store.usage, "orders", 3, now=before)
    assert report.moved == ()


@ON_SQLITE
@pytest.mark.parametrize(
    ("meanwhile", "versions"),
    [(("orders:v3",), ["orders:v2"]), (("orders:v3", "orders:v4"), None)],
)
def test_a_version_that_is_retained_by_now_does_not_go(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: tuple[str, ...],
    versions: list[str] | None,
) -> None:
    """Somebody destroys newer ones between the look and the move; that an older one may says
    nothing of it."""
    apply = store.provider.states.apply

    def overtaken(verb: Verb, key_id: str, **more: object) -> object:
        monkeypatch.undo()
        for each in meanwhile:
            store.provider.states.apply(Verb.DESTROY, each)
        return apply(verb, key_id, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(store.provider.states, "apply", overtaken)
    report = store.cleanup(reason="old", versions=versions)
    assert [each.version_id for each in report.proposals] == ["orders:v1", "orders:v2"]
    assert report.moved == ()
    assert [store.state(each) for each in (1, 2)] == [KeyState.ACTIVE] * 2
