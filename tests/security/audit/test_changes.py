"""Changes on a provider: intent before the store commits, outcome after, and what a crash leaves
open; and the key that all of it is chained with."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from mycelium_fractal_net.security.audit import Event, acting_as, query
from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    ConflictError,
    InvalidKeyError,
    KeyExistsError,
    KeyNotExportableError,
    KeyNotFoundError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store.audit_table import ChainCount, StoredAuditKey
from mycelium_fractal_net.security.records.keys import RotationPolicy, Verb
from tests.support.algorithms import WRAPPING
from tests.support.audit import Books
from tests.support.key_transport import key_to_wrap_for
from tests.support.stores import Clock, open_provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider


@pytest.fixture
def recorded(books: Books) -> Iterator[Books]:
    """A provider whose changes are recorded."""
    books.provider.audit = books.log()
    yield books
    if books.provider.audit is not None:
        books.provider.audit.close()


def history(books: Books) -> list[dict[str, Any]]:
    """All records, oldest first; what a later segment repeats is there once."""
    return query(books.folder, limit=1_000_000)[::-1]


def said(books: Books, *names: str) -> list[tuple[Any, ...]]:
    """Members of the records of changes, without what the processes say of themselves."""
    names = names or ("event", "outcome", "key", "subject")
    wanted = [each for each in history(books) if not each["event"].startswith("audit.")]
    return [tuple(each[name] for name in names if name in each) for each in wanted]


# Intent and outcome ---------------------------------------------------------------------------


def test_every_change_of_a_key_is_an_intent_and_an_outcome(recorded: Books, clock: Clock) -> None:
    """The version where the change is about one, else the key."""
    provider = recorded.provider
    provider.keys.create("orders")
    provider.keys.create("release", "signing")
    provider.rotate_key("orders")
    provider.states.apply(Verb.DEACTIVATE, "orders:v1")
    provider.states.apply(Verb.DESTROY, "orders:v1", window_days=7)
    clock.forward(days=8)
    provider.states.erase_due("orders")
    provider.keys.set_rotation("orders", RotationPolicy(interval_days=30, retain_count=3))
    provider.keys.set_publish("release", True)
    assert said(recorded) == [
        (event, outcome, key)
        for event, key in [
            ("key.create", "orders:v1"),
            ("key.create", "release:v1"),
            ("key.rotate", "orders:v2"),
            ("key.deactivate", "orders:v1"),
            ("key.destroy", "orders:v1"),
            ("key.erase", "orders:v1"),
            ("key.policy", "orders"),
            ("key.publish", "release"),
        ]
        for outcome in ("intent", "ok")
    ]
    intents = {each["sequence"]: each for each in history(recorded) if each["outcome"] == "intent"}
    outcomes = [each for each in history(recorded) if each.get("intent")]
    assert [each["intent"] for each in outcomes] == list(intents)
    # Each record's mark is the former one of the next change of the same key.
    marks = [(each["former"], each["mark"]) for each in intents.values() if "orders" in each["key"]]
    assert marks[0][0] == ""
    assert all(one[1] == two[0] for one, two in itertools.pairwise(marks))


def test_a_rotation_that_moves_its_key_as_well_is_told_by_its_version(recorded: Books) -> None:
    """The store has another master key by then, so that every version is wrapped anew."""
    provider = recorded.provider
    provider.keys.create("orders")
    current, newer = provider.custodian.newest_id(), provider.custodian.add()
    provider.store.move_to(current, newer, provider.record_macs.make(newer))
    provider.rotate_key("orders")
    assert provider.keys.get("orders").master_id == newer
    assert said(recorded, "event", "key")[-1] == ("key.rotate", "orders:v2")


def test_every_step_of_an_import_names_it_and_its_key(recorded: Books) -> None:
    """Begun, finished or given up; what was wrapped is in no record."""
    provider = recorded.provider
    pending = provider.imports.begin("brought", method=WRAPPING)
    wrapped = provider.policy.wrapping_key(pending.public_key).wrap(bytes(32))
    provider.imports.finish(pending.import_id, wrapped)
    other = provider.imports.begin("other", method=WRAPPING)
    with pytest.raises(InvalidKeyError):
        provider.imports.finish(other.import_id, b"")
    assert said(recorded) == [
        (event, outcome, *named)
        for event, *named in [
            ("import.begin", "brought", pending.import_id),
            ("key.import", "brought:v1"),
            ("import.begin", "other", other.import_id),
            ("import.end", other.import_id),
        ]
        for outcome in ("intent", "ok")
    ]


def test_the_other_ends_of_an_import_are_recorded(recorded: Books) -> None:
    """Cancelled by somebody, or expired, which is nobody's doing."""
    provider = recorded.provider
    imports = provider.imports
    one, two = (imports.begin(name, method=WRAPPING) for name in ("one", "two"))
    imports.cancel(one.import_id)
    now = imports.clock()
    imports.clock = lambda: now + timedelta(hours=1)
    imports.purge()
    assert said(recorded)[4:] == [
        (event, outcome, import_id)
        for event, import_id in [
            ("import.cancel", one.import_id),
            ("import.expire", two.import_id),
        ]
        for outcome in ("intent", "ok")
    ]
    (actor,) = {each["actor"] for each in history(recorded) if each["event"] == "import.expire"}
    assert actor == "system"


def test_every_change_of_a_credential_names_it(recorded: Books) -> None:
    """By its id; neither its name nor its secret is in any record."""
    credential, key = recorded.provider.credentials.create("till seven", ("encrypt:*",))
    identity = credential.credential_id
    _, rotated = recorded.provider.credentials.rotate(identity, overlap=timedelta(days=1))
    recorded.provider.credentials.revoke(identity)
    recorded.provider.credentials.revoke(identity)
    assert said(recorded) == [
        (f"credential.{what}", outcome, identity)
        for what in ("create", "rotate", "revoke")
        for outcome in ("intent", "ok")
    ]
    written = recorded.files[0].read_bytes()
    assert b"till seven" not in written
    for secret in (key.text, rotated.text):
        assert secret.encode() not in written
        assert secret.split("_", 2)[2].encode() not in written


def test_the_intent_is_durable_before_the_store_is_changed(
    recorded: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the outcome before the caller hears of it."""
    store = recorded.provider.store
    seen: list[list[tuple[Any, ...]]] = []
    insert = store.keys.insert

    def watching(key: Any, mac: bytes, also: Any) -> None:
        seen.append(said(recorded, "outcome"))
        insert(key, mac, also)
        seen.append(said(recorded, "outcome"))

    monkeypatch.setattr(store.keys, "insert", watching)
    recorded.provider.keys.create("orders")
    assert seen == [[("intent",)], [("intent",)]]
    assert said(recorded, "outcome") == [("intent",), ("ok",)]


def test_who_changed_it_is_in_both_records(recorded: Books) -> None:
    """With the request, if there is one."""
    with acting_as("cred1", "req-1"):
        recorded.provider.keys.create("orders")
    recorded.provider.rotate_key("orders")
    assert said(recorded, "actor", "request") == [("cred1", "req-1")] * 2 + [("library",)] * 2


def test_what_changes_nothing_is_not_recorded(recorded: Books) -> None:
    """A change that finds nothing to do has no intent."""
    recorded.provider.keys.create("orders")
    before = len(history(recorded))
    recorded.provider.states.erase_due("orders")
    recorded.provider.keys.rotate_from("orders:v7")
    assert len(history(recorded)) == before


def test_a_change_that_lost_a_race_is_a_conflict(recorded: Books) -> None:
    """Nothing was changed, and both records say so."""
    recorded.provider.keys.create("orders")
    with pytest.raises(KeyExistsError):
        recorded.provider.keys.create("orders")
    assert said(recorded)[2:] == [
        ("key.create", "intent", "orders:v1"),
        ("key.create", "conflict", "orders:v1"),
    ]


def test_a_writer_that_loses_tries_again_and_says_so(
    recorded: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two intents, a conflict and a success: each attempt has a record of its own."""
    provider = recorded.provider
    provider.keys.create("orders")
    rival = open_provider(provider.store.database.url, recorded.folder.parent)
    replace = provider.store.keys.replace
    raced: list[str] = []

    def racing(*arguments: Any) -> None:
        if not raced:
            raced.append(rival.rotate_key("orders"))
        replace(*arguments)

    monkeypatch.setattr(provider.store.keys, "replace", racing)
    assert provider.rotate_key("orders") == "orders:v3"
    rival.store.database.close()
    assert said(recorded)[2:] == [
        ("key.rotate", "intent", "orders:v2"),
        ("key.rotate", "conflict", "orders:v2"),
        ("key.rotate", "intent", "orders:v3"),
        ("key.rotate", "ok", "orders:v3"),
    ]


def test_a_change_of_which_nobody_knows_is_asked_of_the_store_at_once(
    recorded: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage while it commits: done or not, and the store says which."""
    provider = recorded.provider
    provider.keys.create("orders")
    replace = provider.store.keys.replace

    def committed_and_lost(*arguments: Any) -> None:
        replace(*arguments)
        raise StoreUnavailableError("the answer was lost")

    def never_came(*_: Any) -> None:
        raise StoreUnavailableError("nobody answers")

    for broken in (committed_and_lost, never_came):
        monkeypatch.setattr(provider.store.keys, "replace", broken)
        with pytest.raises(StoreUnavailableError):
            provider.rotate_key("orders")
    assert said(recorded)[2:] == [
        ("key.rotate", "intent", "orders:v2"),
        ("key.rotate", "done", "orders:v2"),
        ("key.rotate", "intent", "orders:v3"),
        ("key.rotate", "not-done", "orders:v3"),
    ]
    assert provider.keys.get("orders").latest.version == 2


def test_a_change_is_not_made_when_its_intent_cannot_be_written(recorded: Books) -> None:
    """Fail closed: the store is as it was."""
    provider = recorded.provider
    provider.keys.create("orders")
    assert provider.audit is not None
    provider.audit.close()
    recorded.folder.chmod(0o700)
    recorded.folder.rename(recorded.folder.with_name("away"))
    recorded.folder.write_bytes(b"no folder")
    with pytest.raises(AuditUnavailableError):
        provider.rotate_key("orders")
    with pytest.raises(AuditUnavailableError):
        provider.get_key("orders")
    assert provider.keys.get("orders").latest.version == 1


def test_a_key_that_leaves_is_recorded_before_it_does(recorded: Books) -> None:
    """With the version that left; what did not leave was not exported."""
    provider = recorded.provider
    provider.keys.create("orders")
    provider.rotate_key("orders")
    credential, _ = provider.credentials.create("x", ("*",))
    before = len(said(recorded))
    with acting_as("cli:0"):
        assert provider.get_key("orders:v1") != provider.get_key("orders")
    for name, error in (
        ("nobody", KeyNotFoundError), (credential.credential_id, KeyNotExportableError),
    ):  # fmt: skip
        with pytest.raises(error):
            provider.get_key(name)
    assert said(recorded, "event", "outcome", "key", "actor")[before:] == [
        ("key.export", "ok", "orders:v1", "cli:0"),
        ("key.export", "ok", "orders:v2", "cli:0"),
    ]


def test_without_a_log_nothing_is_recorded(books: Books) -> None:
    """And nothing else is different."""
    books.provider.keys.create("orders")
    assert len(books.provider.get_key("orders")) == 32
    books.provider.master_keys.rotate()
    assert not books.folder.exists()


# What a crash leaves open ---------------------------------------------------------------------


def killed_while(
    books: Books, table: str, method: str, change: Callable[[], object], *, after: bool
) -> None:
    """A process that is killed by SIGKILL in the middle of a change of the store."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            store = books.provider.store
            place = getattr(store, table) if table else store
            books.provider.audit = books.log()
            real = getattr(place, method)

            def die(*arguments: Any) -> None:
                if after:
                    real(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)

            setattr(place, method, die)
            change()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize(("after", "outcome"), [(True, "done"), (False, "not-done")])
def test_the_next_process_says_how_an_import_ended(books: Books, after: bool, outcome: str) -> None:
    """Begun or not, finished or not, given up or not."""
    provider = books.provider
    imports = provider.imports
    killed_while(
        books, "imports", "insert", lambda: imports.begin("one", method=WRAPPING), after=after
    )
    two, three = (imports.begin(name, method=WRAPPING) for name in ("two", "three"))
    wrapped = provider.policy.wrapping_key(two.public_key).wrap(bytes(32))
    killed_while(
        books, "keys", "insert", lambda: imports.finish(two.import_id, wrapped), after=after
    )
    killed_while(books, "imports", "end", lambda: imports.finish(three.import_id, b""), after=after)
    provider.audit = books.log()
    provider.audit.open()
    provider.audit.close()
    ended = [
        (each["event"], each["outcome"])
        for each in history(books)
        if each.get("intent") and each["actor"] == "system"
    ]
    assert ended == [(event, outcome) for event in ("import.begin", "key.import", "import.end")]
    left = {each.key_id for each in imports.all()}
    assert left == ({"one"} if after else {"two", "three"})


def test_whether_a_key_left_a_process_that_was_killed_is_unknown(books: Books) -> None:
    """It was to leave; nobody can say more."""
    provider = books.provider
    provider.keys.create("orders", exportable=True)
    public = key_to_wrap_for(WRAPPING).public.pem()

    def export() -> None:
        real = provider.keys.unwrap
        # The store is asked for once more between the two records, so that this can be killed.
        provider.keys.unwrap = lambda *given: (provider.store.keys.count(), real(*given))[1]  # type: ignore[method-assign]
        provider.exports.wrap_for(public, "orders")

    killed_while(books, "keys", "count", export, after=False)
    provider.audit = books.log()
    provider.audit.open()
    provider.audit.close()
    found = [each for each in history(books) if each["event"] == "key.export"]
    assert [each["outcome"] for each in found] == ["intent", "unknown"]


@pytest.mark.parametrize(("after", "outcome"), [(True, "done"), (False, "not-done")])
def test_the_next_process_says_how_a_change_ended(books: Books, after: bool, outcome: str) -> None:
    """Of a key that was made, of one that was rotated, and of a credential."""
    provider = books.provider
    provider.keys.create("old")
    credential = provider.credentials.create("x", ("*",))[0].credential_id
    killed_while(books, "keys", "insert", lambda: provider.keys.create("new"), after=after)
    killed_while(books, "keys", "replace", lambda: provider.rotate_key("old"), after=after)
    killed_while(
        books,
        "credentials",
        "replace",
        lambda: provider.credentials.revoke(credential),
        after=after,
    )
    books.write(0)
    with books.opened() as log:
        log.open()
    assert said(books, "event", "outcome", "key", "subject") == [
        ("key.create", "intent", "new:v1"),
        ("key.create", outcome, "new:v1"),
        ("key.rotate", "intent", "old:v2"),
        ("key.rotate", outcome, "old:v2"),
        ("credential.revoke", "intent", credential),
        ("credential.revoke", outcome, credential),
    ]
    assert not books.faults()
    resolved = [each for each in history(books) if each["outcome"] == outcome]
    assert {each["actor"] for each in resolved} == {"system"}


def test_a_change_that_others_went_on_from_is_superseded(books: Books) -> None:
    """The store has neither the record before nor the one after."""
    provider = books.provider
    provider.keys.create("orders")
    killed_while(books, "keys", "replace", lambda: provider.rotate_key("orders"), after=True)
    provider.rotate_key("orders")
    with books.opened() as log:
        log.open()
    assert said(books)[-1] == ("key.rotate", "superseded", "orders:v2")


def test_a_change_of_a_record_that_is_damaged_is_unknown(books: Books) -> None:
    """The log opens all the same: one bad row must not stop a whole service."""
    provider = books.provider
    provider.keys.create("orders")
    killed_while(books, "keys", "replace", lambda: provider.rotate_key("orders"), after=True)
    with provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET key_type = 'x' WHERE key_id = 'orders'"))
    with books.opened() as log:
        log.open()
    assert said(books)[-1] == ("key.rotate", "unknown", "orders:v2")


def test_a_move_to_another_master_key_that_was_killed_is_interrupted(books: Books) -> None:
    """It goes on when it is run again."""
    provider = books.provider
    provider.keys.create("orders")
    killed_while(books, "", "forget_masters", provider.master_keys.rotate, after=False)
    provider.audit = books.log()
    provider.master_keys.rotate()
    provider.audit.close()
    assert said(books, "event", "outcome") == [
        ("master.rotate", "intent"),
        ("master.rotate", "interrupted"),
        ("master.rotate", "intent"),
        ("master.rotate", "ok"),
    ]
    assert not books.faults()


def test_intents_of_processes_that_died_one_after_another_are_all_resolved(books: Books) -> None:
    """Though the second came no further than the first's intents."""
    provider = books.provider
    provider.keys.create("orders")
    killed_while(books, "keys", "replace", lambda: provider.rotate_key("orders"), after=True)
    provider.store.anchor_chain(provider.store.chains()[0])
    with books.opened(resolve=None) as log:
        log.record(Event("encrypt", "ok"))
    with books.opened(resolve=None) as log:
        log.record(Event("encrypt", "ok"))
    assert said(books)[-2:] == [("encrypt", "ok")] * 2
    with books.opened() as log:
        log.open()
    assert said(books)[-1] == ("key.rotate", "done", "orders:v2")
    before = len(history(books))
    with books.opened() as log:
        log.open()
    assert len(history(books)) == before + 1


@pytest.mark.parametrize(
    "named",
    [
        {"event": "key.create", "key": "new:v1"},
        {"event": "credential.create", "subject": "abcdefghijklmnop"},
        {"event": "signer.create", "subject": "abcdefghijklmnop"},
    ],
)
def test_what_was_to_be_made_and_is_not_there_was_not_done(
    books: Books, named: dict[str, str]
) -> None:
    """A key, a credential, a signer: each is looked for where it would be."""
    (event,) = books.provider.journal.resolve_intents(
        [{**named, "sequence": 7, "mark": "a", "former": ""}]
    )
    assert (event.event, event.outcome, event.intent) == (named["event"], "not-done", 7)
    assert (event.key, event.subject) == (named.get("key"), named.get("subject"))


def test_an_intent_that_names_what_is_no_key_is_unknown(books: Books) -> None:
    """Who edits a file cannot keep a log from opening."""
    intents = [{"event": "key.rotate", "sequence": 7, "key": "No Key!"}]
    (event,) = books.provider.journal.resolve_intents(intents)
    assert (event.outcome, event.intent) == ("unknown", 7)


def test_an_outcome_that_could_not_be_written_is_told_later(
    recorded: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is done, its caller is refused, and the next process says so."""
    provider = recorded.provider
    provider.keys.create("orders")
    log = provider.audit
    assert log is not None
    replace = provider.store.keys.replace

    def then_the_disk_fails(*arguments: Any) -> None:
        replace(*arguments)
        opened = log._open
        assert opened is not None
        opened.queue.failed()

    monkeypatch.setattr(provider.store.keys, "replace", then_the_disk_fails)
    with pytest.raises(AuditUnavailableError):
        provider.rotate_key("orders")
    log.close()
    log.open()
    log.close()
    assert said(recorded)[-2:] == [
        ("key.rotate", "intent", "orders:v2"),
        ("key.rotate", "done", "orders:v2"),
    ]


# The audit key --------------------------------------------------------------------------------


def test_two_that_make_the_audit_key_at_once_have_the_same(
    sqlite_url: str, home: Path, local_provider: LocalKeyProvider
) -> None:
    """Whoever is second takes the first one's."""
    providers = [local_provider, *(open_provider(sqlite_url, home) for _ in range(3))]
    barrier = threading.Barrier(len(providers))
    tags: list[bytes] = []

    def make(provider: LocalKeyProvider) -> None:
        barrier.wait()
        tags.append(provider.audit_keys.mac().tag(b"data"))

    threads = [threading.Thread(target=make, args=(each,)) for each in providers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tags) == 4
    assert len(set(tags)) == 1
    for provider in providers[1:]:
        provider.store.database.close()


def test_a_key_that_lost_the_race_is_never_used(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and storing another process stores its own."""
    store = local_provider.store
    look = store.audit_key
    first: list[bytes] = []

    def late() -> StoredAuditKey | None:
        found = look()
        monkeypatch.setattr(store, "audit_key", look)
        first.append(local_provider.audit_keys.mac().tag(b"data"))
        return found

    monkeypatch.setattr(store, "audit_key", late)
    assert [local_provider.audit_keys.mac().tag(b"data")] == first


def test_the_audit_key_moves_with_the_master_key(books: Books) -> None:
    """The old master key is forgotten, and the chain verifies as before and goes on."""
    provider = books.provider
    books.write(2)
    tag = provider.audit_keys.mac().tag(b"data")
    stored = provider.store.audit_key()
    newest = provider.master_keys.rotate()
    moved = provider.store.audit_key()
    assert stored is not None
    assert moved is not None
    assert (stored.master_id, moved.master_id) != (newest, stored.master_id)
    assert moved.master_id == newest
    assert stored.wrapped != moved.wrapped
    assert provider.audit_keys.mac().tag(b"data") == tag
    books.write(1)
    assert len(books.files) == 1
    assert not books.faults()


def test_an_audit_key_is_not_moved_twice_nor_by_two(local_provider: LocalKeyProvider) -> None:
    """Whoever has the old wrapping in hand when it is replaced is told."""
    local_provider.audit_keys.mac()
    store = local_provider.store
    stored = store.audit_key()
    assert stored is not None
    moved = stored._replace(wrapped=stored.wrapped + b"x")
    store.replace_audit_key(stored, moved)
    with pytest.raises(ConflictError, match="somebody else"):
        store.replace_audit_key(stored, moved)


def test_an_audit_key_under_a_former_master_key_is_not_stored(
    local_provider: LocalKeyProvider,
) -> None:
    """A move forgets the former master key; nothing may be left under it."""
    local_provider.audit_keys.mac()
    stored = local_provider.store.audit_key()
    assert stored is not None
    with pytest.raises(ConflictError):
        local_provider.store.insert_audit_key(
            stored._replace(number=2, master_id="former"), ChainCount(0)
        )


def test_anchors_do_not_make_caches_read_again(books: Books) -> None:
    """The store's generation stays: no key and no credential has changed."""
    books.provider.audit_keys.mac()
    before = books.provider.store.require_status()
    books.write(3)
    assert books.provider.store.require_status() == before
    assert books.anchored() == 4
