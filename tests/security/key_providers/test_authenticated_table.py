"""One record whose MAC key cannot be read is refused alone: keys, credentials and signers alike."""

from __future__ import annotations

import io
import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.doctor import Severity, diagnose
from mycelium_fractal_net.security.backup import record_backup, restore_backup, write_backup
from mycelium_fractal_net.security.directories.credentials import CredentialDirectory
from mycelium_fractal_net.security.directories.signers import SignerDirectory
from mycelium_fractal_net.security.errors import (
    AuthenticationError,
    ConflictError,
    InvalidSignatureError,
    KeyNotFoundError,
    MasterKeyError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import (
    Binding,
    LocalCustodian,
    LocalKeyProvider,
    authenticated_table,
)
from mycelium_fractal_net.security.key_store import Database, KeyStore, UsageStore
from mycelium_fractal_net.security.key_store.freshness import Freshness
from mycelium_fractal_net.security.rotation import KeyRotationScheduler
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import SIGNING
from tests.support.stores import Clock, open_provider

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes

RUBBISH = "rubbish:1"
KINDS = ("keys", "credentials", "signers")


def point(provider: LocalKeyProvider, kind: str, record_id: str, master_id: str) -> None:
    """Have the record name another master key, as an intruder with SQL would."""
    table = provider.store.keys if kind == "keys" else getattr(provider.store, kind)
    with provider.store.database.write() as connection:
        connection.execute(
            text(f"UPDATE mfn_{kind} SET master_id = :id WHERE {table.kind.id_name} = :record"),
            {"id": master_id, "record": record_id},
        )


def no_row(_: LocalKeyProvider) -> str:
    """A master key of which the store has no MAC key."""
    return RUBBISH


def a_row(provider: LocalKeyProvider, master_id: str = RUBBISH) -> str:
    """A MAC key that no master key wrapped."""
    with provider.store.database.write() as connection:
        connection.execute(
            text("INSERT INTO mfn_authority_keys (master_id, wrapped) VALUES (:id, :wrapped)"),
            {"id": master_id, "wrapped": bytes(80)},
        )
    return master_id


def a_row_under_a_former_master_key(provider: LocalKeyProvider) -> str:
    """The same under a master key that the custodian holds."""
    return a_row(provider, provider.custodian.add())


@pytest.fixture
def records(provider: LocalKeyProvider) -> dict[str, list[str]]:
    """Two records of each kind: the first one is attacked, the second one is to go on."""
    for name in ("bad", "good"):
        provider.keys.create(name)
        public = SigningKey.generate(SIGNING).public.der()
        provider.signers.add(name, public, any_credential=True)
    made = sorted(provider.credentials.create(n, ("*",))[0].credential_id for n in ("x", "y"))
    return {"keys": ["bad", "good"], "signers": ["bad", "good"], "credentials": made}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attack", [no_row, a_row, a_row_under_a_former_master_key])
def test_a_record_under_rubbish_is_refused_and_named_and_no_other(
    provider: LocalKeyProvider, records: dict[str, list[str]], kind: str,
    attack: Callable[[LocalKeyProvider], str],
) -> None:  # fmt: skip
    """By itself, in a list of all, and when it is to be changed."""
    bad, good = records[kind]
    point(provider, kind, bad, attack(provider))
    service = getattr(provider, kind)
    with pytest.raises(StoreIntegrityError, match=f"'{bad}' is refused"):
        service.get(bad)
    found = dict(service.each())
    assert isinstance(found[bad], StoreIntegrityError)
    assert found[good] == service.get(good)
    with pytest.raises(StoreIntegrityError, match=bad):
        list(service.all())
    assert isinstance(dict(service.page())[bad], StoreIntegrityError)
    with pytest.raises(StoreIntegrityError, match=bad):
        service.update(bad, lambda record: record)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", ["wrapped", "mac"])
def test_a_value_of_another_type_is_refused_and_takes_no_memory(
    local_provider: LocalKeyProvider, kind: str, column: str
) -> None:
    """SQLite keeps any value in any column; a number is not taken for that many bytes."""
    provider = local_provider
    provider.keys.create("bad")
    one = provider.credentials.create("x", ("*",))[0].credential_id
    provider.signers.add("bad", SigningKey.generate(SIGNING).public.der(), any_credential=True)
    bad = one if kind == "credentials" else "bad"
    if column == "wrapped":
        point(provider, kind, bad, a_row(provider))
        statement = (
            "UPDATE mfn_authority_keys SET wrapped = 1000000000000 WHERE master_id = 'rubbish:1'"
        )
    else:
        statement = f"UPDATE mfn_{kind} SET mac = 1000000000000"
    with provider.store.database.write() as connection:
        connection.execute(text(statement))
    with pytest.raises(StoreIntegrityError, match=bad):
        getattr(provider, kind).get(bad)


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_is_no_text_is_refused_and_keeps_no_other_from_being_read(
    local_provider: LocalKeyProvider, kind: str
) -> None:
    """SQLite takes any bytes for text, and its driver would refuse the whole page."""
    provider = local_provider
    for name in ("bad", "good"):
        provider.keys.create(name)
        public = SigningKey.generate(SIGNING).public.der()
        provider.signers.add(name, public, any_credential=True)
        provider.credentials.create(name, ("*",))
    service = getattr(provider, kind)
    names = [name for name, _ in service.each()]
    with provider.store.database.write() as connection:
        connection.execute(
            text(
                f"UPDATE mfn_{kind} SET master_id = CAST(X'FF' AS TEXT)"
                f" WHERE {service.kind.id_name} = :name"
            ),
            {"name": names[0]},
        )
    found = dict(service.each())
    assert isinstance(found[names[0]], StoreIntegrityError)
    assert found[names[1]] == service.get(names[1])


def test_authentication_goes_on_beside_a_credential_under_rubbish(
    local_provider: LocalKeyProvider,
) -> None:
    """Its holder is not let in; everybody else is, and so are those who come later."""
    provider = local_provider
    (bad, bad_key), (_, good_key) = (provider.credentials.create(n, ("*",)) for n in "ab")
    point(provider, "credentials", bad.credential_id, a_row(provider))
    directory = CredentialDirectory(provider, Freshness(provider.store))
    assert directory.authenticate(good_key.text.encode()).name == "b"
    with pytest.raises(AuthenticationError):
        directory.authenticate(bad_key.text.encode())


def test_signed_requests_go_on_beside_a_signer_under_rubbish(
    provider: LocalKeyProvider, records: dict[str, list[str]]
) -> None:
    """What that signer signs is worth nothing."""
    point(provider, "signers", "bad", a_row(provider))
    directory = SignerDirectory(provider, Freshness(provider.store))
    assert directory.by_name("good").signer.name == records["signers"][1]
    with pytest.raises(InvalidSignatureError):
        directory.by_name("bad")


@pytest.mark.parametrize("kind", KINDS)
def test_the_scheduler_goes_on_beside_a_record_under_rubbish(
    provider: LocalKeyProvider, records: dict[str, list[str]], kind: str, clock: Clock
) -> None:
    """The other key is rotated; of the record that is refused it says so, if it is a key."""
    point(provider, kind, records[kind][0], a_row(provider))
    clock.forward(days=90)
    report = KeyRotationScheduler(provider, clock=clock).run_once()
    assert "good:v2" in report.rotated
    assert [name for name, _ in report.failed] == (["bad"] if kind == "keys" else [])
    assert report.credentials_due == (1 if kind == "credentials" else 2)


@pytest.mark.parametrize("kind", KINDS)
def test_doctor_names_the_record_under_rubbish_and_looks_at_the_rest(
    local_provider: LocalKeyProvider, home: Path, kind: str
) -> None:
    """It and the master key that it is under; and those of the checks that come after it."""
    provider = local_provider
    provider.keys.create("bad")
    made = provider.credentials.create("x", ("*",))[0].credential_id
    provider.signers.add("bad", SigningKey.generate(SIGNING).public.der(), any_credential=True)
    bad = made if kind == "credentials" else "bad"
    point(provider, kind, bad, a_row(provider))
    found = diagnose(load_settings(environ={"MFN_HOME": str(home)}))
    critical = [each for each in found if each.severity is Severity.CRITICAL]
    assert [each.subject for each in critical] == ["key store", f"{kind[:-1]} {bad}"]
    assert "no custodian of the settings has" in critical[0].advice
    assert {"master-key", "default-key"} <= {each.check for each in found}
    assert "master-move" not in {each.check for each in found}


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_beside_a_record_under_rubbish_restores_all_but_that(
    provider: LocalKeyProvider, records: dict[str, list[str]], kind: str, home: Path,
    tmp_path: Path, clock: Clock,
) -> None:  # fmt: skip
    """It is refused there as it was here."""
    bad, good = records[kind]
    point(provider, kind, bad, a_row(provider))
    written = io.BytesIO()
    record_backup(provider, write_backup(provider, written))
    folder = tmp_path / "elsewhere"
    folder.mkdir(mode=0o700)
    shutil.copy(home / "master.key", folder / "master.key")
    policy = provider.policy
    custodian = LocalCustodian(folder / "master.key", policy)
    store = KeyStore(Database(folder / "keys.db"))
    other = LocalKeyProvider(store, custodian, policy, clock=clock)
    restore_backup(other, io.BytesIO(written.getvalue()))
    with pytest.raises(StoreIntegrityError, match=bad):
        getattr(other, kind).get(bad)
    assert getattr(other, kind).get(good)
    store.database.close()


def test_a_key_row_that_is_none_is_restored_as_it_is(
    provider: LocalKeyProvider, records: dict[str, list[str]], home: Path, tmp_path: Path,
    clock: Clock,
) -> None:  # fmt: skip
    """A restore closes keys with raw uses; one that is damaged is refused, and stops no other."""
    for name in records["keys"]:
        UsageStore(provider.store.database).reserve_raw(provider.keys.get(name).latest.handle, 1)
    with provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET key_type = 'x' WHERE key_id = 'bad'"))
    written = io.BytesIO()
    write_backup(provider, written)
    folder = tmp_path / "elsewhere"
    folder.mkdir(mode=0o700)
    shutil.copy(home / "master.key", folder / "master.key")
    custodian = LocalCustodian(folder / "master.key", provider.policy)
    store = KeyStore(Database(folder / "keys.db"))
    other = LocalKeyProvider(store, custodian, provider.policy, clock=clock)
    assert restore_backup(other, io.BytesIO(written.getvalue())).rotated == ["good:v2"]
    with pytest.raises(StoreIntegrityError, match="damaged"):
        other.keys.get("bad")
    store.database.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_move_to_a_new_master_key_leaves_what_it_was_never_to_trust(
    provider: LocalKeyProvider, records: dict[str, list[str]], kind: str
) -> None:
    """Everything else is moved, and nothing is thrown away that some other machine may open."""
    bad, good = records[kind]
    point(provider, kind, bad, a_row(provider))
    old = provider.custodian.newest_id()
    new = provider.master_keys.rotate()
    assert getattr(provider, kind).get(good).master_id == new
    with pytest.raises(StoreIntegrityError, match=bad):
        getattr(provider, kind).get(bad)
    assert provider.store.record_mac_ids() == sorted((new, RUBBISH))
    assert not provider.custodian.holds(old)


def test_a_record_that_fails_under_a_former_master_key_ends_the_move(
    provider: LocalKeyProvider, records: dict[str, list[str]]
) -> None:
    """Who mends the row can go on: its master key is not forgotten before."""
    old = provider.custodian.newest_id()
    with provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET revision = 7 WHERE key_id = 'bad'"))
    with pytest.raises(StoreIntegrityError, match="bad"):
        provider.master_keys.rotate()
    assert provider.custodian.holds(old)
    with provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET revision = 0 WHERE key_id = 'bad'"))
    provider.master_keys.rotate()
    assert provider.keys.get("bad")
    assert not provider.custodian.holds(old)


def test_without_the_stores_own_master_key_nobody_is_said_to_be_unknown(
    local_provider: LocalKeyProvider, home: Path, tmp_path: Path
) -> None:
    """An outage is never reported as a wrong API key, nor as tampering."""
    _, key = local_provider.credentials.create("x", ("*",))
    folder = tmp_path / "wrong"
    folder.mkdir(mode=0o700)
    wrong = LocalCustodian.create(folder / "master.key", local_provider.policy)
    provider = LocalKeyProvider(local_provider.store, wrong, local_provider.policy)
    directory = CredentialDirectory(provider, Freshness(provider.store))
    with pytest.raises(MasterKeyError, match="MFN_MASTER_KEY_FILE"):
        directory.authenticate(key.text.encode())
    assert home.exists()


# What a custodian is asked for ----------------------------------------------------------------


class Asked(LocalCustodian):
    """A custodian that remembers what it was asked for, and waits where a test says so."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.wrapped: list[Binding] = []
        self.unwrapped: list[tuple[str, Binding]] = []
        self.barrier = threading.Event()
        self.barrier.set()

    def wrap_many(self, kek_id: str, items: Sequence[tuple[Octets, Binding]]) -> list[bytes]:
        self.wrapped += (binding for _, binding in items)
        return super().wrap_many(kek_id, items)

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[SecretBytes]:
        self.unwrapped += ((kek_id, binding) for _, binding in items)
        self.barrier.wait(10)
        return super().unwrap_many(kek_id, items)


@pytest.fixture
def asked(local_provider: LocalKeyProvider, home: Path) -> LocalKeyProvider:
    """A provider with such a custodian, over a store with the key orders."""
    local_provider.keys.create("orders")
    policy = local_provider.policy
    return LocalKeyProvider(local_provider.store, Asked(home / "master.key", policy), policy)


def custodian_of(provider: LocalKeyProvider) -> Asked:
    assert isinstance(provider.custodian, Asked)
    return provider.custodian


@pytest.mark.parametrize("kind", KINDS)
def test_no_row_chooses_a_master_key(asked: LocalKeyProvider, kind: str) -> None:
    """What is not configured never reaches the custodian, whatever stands under its name."""
    made = asked.credentials.create("x", ("*",))[0].credential_id
    asked.signers.add("orders", SigningKey.generate(SIGNING).public.der(), any_credential=True)
    point(asked, kind, made if kind == "credentials" else "orders", a_row(asked))
    custodian_of(asked).unwrapped.clear()
    asked.record_macs.forget()
    list(getattr(asked, kind).each())
    assert {master_id for master_id, _ in custodian_of(asked).unwrapped} <= {
        asked.custodian.newest_id()
    }


def test_threads_that_need_one_key_have_it_unwrapped_once(asked: LocalKeyProvider) -> None:
    """The others wait for whoever asked first; later ones ask anew."""
    key = asked.keys.get("orders")
    custodian = custodian_of(asked)
    custodian.unwrapped.clear()
    custodian.barrier.clear()
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(bytes(asked.keys.unwrap(key, key.latest))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    while len(custodian.unwrapped) < 1:
        pass
    threads[0].join(0.3)  # the rest has had the time to ask as well
    custodian.barrier.set()
    for thread in threads:
        thread.join()
    assert len(custodian.unwrapped) == 1
    assert len(found) == 8
    assert set(found) == {bytes(asked.keys.unwrap(key, key.latest))}
    assert len(custodian.unwrapped) == 2


def test_a_writer_that_loses_a_race_does_not_have_the_same_key_wrapped_again(
    asked: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where another version took its number: that is a part of what it is bound to."""
    table = asked.store.keys
    swap, lost = table.replace, ["policy", "policy", "version"]

    def overtaken(*arguments: Any) -> None:
        if lost:
            what = lost.pop(0)
            monkeypatch.undo()
            if what == "version":
                asked.rotate_key("orders")
            else:
                asked.keys.reschedule("orders", lambda _: asked.clock())
            monkeypatch.setattr(table, "replace", overtaken)
        swap(*arguments)

    monkeypatch.setattr(table, "replace", overtaken)
    assert asked.rotate_key("orders") == "orders:v3"
    assert [each.version for each in custodian_of(asked).wrapped] == [2, 2, 3]
    assert len({each.handle for each in custodian_of(asked).wrapped}) == 2
    assert asked.get_key("orders") == asked.get_key("orders:v3")


def test_a_key_that_is_moved_while_it_is_changed_is_rewrapped_once(
    asked: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its versions, however often the change lost a race."""
    for _ in range(3):
        asked.rotate_key("orders")
    current = asked.custodian.newest_id()
    newer = asked.custodian.add()
    asked.store.move_to(current, newer, asked.record_macs.make(newer))
    swap, left = asked.store.keys.replace, [1, 2]

    def lost(*arguments: Any) -> None:
        if left:
            left.pop()
            raise ConflictError("somebody else was first")
        swap(*arguments)

    monkeypatch.setattr(asked.store.keys, "replace", lost)
    custodian_of(asked).wrapped.clear()
    asked.keys.reschedule("orders", lambda _: asked.clock())
    assert [each.version for each in custodian_of(asked).wrapped] == [1, 2, 3, 4]
    assert asked.keys.get("orders").master_id == newer


def test_a_provider_has_no_mixins(provider: LocalKeyProvider) -> None:
    """What it does is done by services that it holds."""
    assert len(type(provider).__mro__) <= 6


def test_a_record_that_was_not_there_is_not_found_however_it_is_spelt(
    provider: LocalKeyProvider,
) -> None:
    """Some databases take no NUL, and no name of ours has one."""
    for name in ("a\0b", "ä", "nobody"):
        with pytest.raises(KeyNotFoundError):
            provider.signers.get(name)


@pytest.mark.parametrize("event", [None, "key.publish"])
def test_a_change_that_changes_nothing_writes_nothing(
    local_provider: LocalKeyProvider, event: str | None
) -> None:
    """Neither a revision nor a record that says that something was done."""
    before = local_provider.keys.create("orders")
    generation = local_provider.store.require_status().generation
    assert local_provider.keys.update("orders", lambda key: key, event) == before
    assert local_provider.keys.get("orders") == before
    assert local_provider.store.require_status().generation == generation


def test_a_writer_goes_on_for_seconds_and_then_says_so(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses grow, and the last attempt is at the end."""
    monkeypatch.setattr(authenticated_table, "PATIENCE_SECONDS", 0.1)
    paused: list[float] = []
    monkeypatch.setattr("time.sleep", paused.append)
    monkeypatch.setattr(authenticated_table, "monotonic", lambda: sum(paused))
    count = sum(1 for _ in authenticated_table.attempts())
    assert count == len(paused) + 1 >= 2
    assert sum(paused) == pytest.approx(0.1)


def test_pauses_grow_from_an_eightieth_to_a_fifth_of_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For ten seconds in all, where each is as long as it may be; none has a least."""
    asked: list[tuple[float, float]] = []
    paused: list[float] = []

    def longest(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    monkeypatch.setattr("random.uniform", longest)
    monkeypatch.setattr("time.sleep", paused.append)
    monkeypatch.setattr(authenticated_table, "monotonic", lambda: sum(paused))
    assert len(list(authenticated_table.attempts())) == len(paused) + 1
    assert asked[:6] == [(0, 0.0125), (0, 0.025), (0, 0.05), (0, 0.1), (0, 0.2), (0, 0.2)]
    assert sum(paused) == pytest.approx(10)


def test_the_other_process_reads_what_this_one_wrote(
    local_provider: LocalKeyProvider, home: Path, clock: Clock
) -> None:
    """Nothing about a table is kept in memory but the MAC keys."""
    other = open_provider(local_provider.store.database.url, home, clock)
    made: Sequence[Any] = [local_provider.keys.create("orders")]
    assert list(other.keys.all()) == made
    other.store.database.close()


@pytest.mark.parametrize("page", [1, 2, 4, 5, 6])
def test_records_are_read_page_after_page_to_the_last(
    local_provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Each once, in order, also where the last page is full; the changed and the named ones too."""
    names = ["1st", *(f"key{number}" for number in range(1, 5))]
    for name in names:
        local_provider.keys.create(name)
    status = local_provider.store.require_status()
    monkeypatch.setattr(authenticated_table, "_PAGE", page)
    keys = local_provider.keys
    assert [name for name, _ in keys.each()] == names
    assert [key.key_id for key in keys.all()] == names
    assert [name for name, _ in keys.some([*names, "nobody"])] == names
    assert [name for name, _ in keys.page()] == names
    assert [name for name, _ in keys.page("key1", 2)] == ["key2", "key3"]
    assert list(keys.each(status.generation)) == []
    for name in names[1:]:
        keys.update(name, lambda key: replace(key, publish=not key.publish), "key.publish")
    assert [name for name, _ in keys.each(status.generation)] == names[1:]
