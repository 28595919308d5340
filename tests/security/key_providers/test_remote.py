"""What stands between a store and a custodian on another machine."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.blocking import WouldBlockError
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import (
    Binding,
    StoredKeyProvider,
    wrapping,
)
from mycelium_fractal_net.security.key_providers.call_limits import CallLimits
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
from mycelium_fractal_net.security.key_store import Database, KeyStore
from mycelium_fractal_net.security.policy import Policy
from tests.support.custodian import KEK_ID, QUICK, Elsewhere, ElsewhereOfMany

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

STORE_ID = bytes(16)
MATERIAL = b"k" * 32


def bound(version: int = 1) -> Binding:
    return Binding(STORE_ID, "orders", "encryption", "data", "AES-256-GCM", version, b"12345678")


class Other:
    """The machine, what is asked of it, and how the test changes it."""

    def __init__(self, folder: Path) -> None:
        Elsewhere.create(folder)
        self.folder = folder
        self.opened: list[Elsewhere] = []

    def connect(self) -> Elsewhere:
        self.opened.append(Elsewhere(self.folder))
        return self.opened[-1]

    def is_now(self, mode: str) -> None:
        (self.folder / "mode").write_text(mode)

    @property
    def calls(self) -> list[str]:
        return [call for each in self.opened for call in each.calls]


@pytest.fixture
def other(tmp_path: Path) -> Other:
    """A machine that answers."""
    return Other(tmp_path / "elsewhere")


@pytest.fixture
def custodian(other: Other) -> RemoteCustodian:
    """What a store has of it."""
    return RemoteCustodian(other.connect, QUICK)


def wrapped(custodian: RemoteCustodian, binding: Binding | None = None) -> bytes:
    return custodian.wrap_many(KEK_ID, [(MATERIAL, binding or bound())])[0]


def unwrapped(custodian: RemoteCustodian, sealed: bytes, binding: Binding | None = None) -> bytes:
    return bytes(custodian.unwrap_many(KEK_ID, [(sealed, binding or bound())])[0])


def test_what_was_wrapped_elsewhere_unwraps_under_its_binding_alone(
    other: Other, custodian: RemoteCustodian
) -> None:
    """Whole batches in one call each, and none for nothing."""
    items = [(bytes([number]) * 32, bound(number)) for number in range(1, 4)]
    sealed = custodian.wrap_many(KEK_ID, items)
    again = [(each, binding) for each, (_, binding) in zip(sealed, items, strict=True)]
    assert custodian.unwrap_many(KEK_ID, again) == [material for material, _ in items]
    moved = custodian.rewrap_many(KEK_ID, KEK_ID, again)
    assert moved != sealed
    assert unwrapped(custodian, moved[1], bound(2)) == items[1][0]
    assert custodian.wrap_many(KEK_ID, []) == []
    assert other.calls == ["wrap", "unwrap", "unwrap", *["unwrap", "wrap", "unwrap"], "unwrap"]
    custodian.ping()
    status = custodian.inspect()
    assert (custodian.scheme, status.guard, status.kek_ids) == ("elsewhere", "remote", (KEK_ID,))
    assert (custodian.newest_id(), custodian.holds(KEK_ID)) == (KEK_ID, True)
    with pytest.raises(StoreIntegrityError, match="version 2 of key 'orders'"):
        unwrapped(custodian, sealed[0], bound(2))
    with pytest.raises(StoreIntegrityError, match="version 2 of key 'orders'"):
        custodian.unwrap_many(KEK_ID, [again[0], (sealed[0], bound(2)), again[2]])
    with pytest.raises(MasterKeyError, match="configured"):
        custodian.check("elsewhere:2")
    custodian.close()


def test_a_server_that_ignores_its_context_is_found_out(
    custodian: RemoteCustodian, other: Other
) -> None:
    """The binding's digest is wrapped with the key: an answer to another question is refused."""
    first, second = wrapped(custodian, bound(1)), wrapped(custodian, bound(2))
    unwrapped(custodian, first, bound(1))
    other.is_now("swapped")
    with pytest.raises(StoreIntegrityError, match="version 2 of key 'orders' does not unwrap"):
        unwrapped(custodian, second, bound(2))


def test_an_answer_to_another_question_is_asked_for_again(
    custodian: RemoteCustodian, other: Other
) -> None:
    """A server or a proxy that mixes two answers up once is no row that was edited."""
    first, second = wrapped(custodian, bound(1)), wrapped(custodian, bound(2))
    unwrapped(custodian, first, bound(1))
    other.is_now("swapped-once")
    assert unwrapped(custodian, second, bound(2)) == MATERIAL


def test_a_wrapping_of_something_else_is_not_kept(custodian: RemoteCustodian, other: Other) -> None:
    """Whoever stored it would have lost his key: it is unwrapped before it is given."""
    first, second = wrapped(custodian, bound(1)), wrapped(custodian, bound(2))
    other.is_now("swapped")
    for wrap in (
        lambda: custodian.wrap_many(KEK_ID, [(MATERIAL, bound(3))]),
        lambda: custodian.rewrap_many(KEK_ID, KEK_ID, [(first, bound(1))]),
    ):
        with pytest.raises(CustodianUnavailableError, match="what it was not asked"):
            wrap()
        other.is_now("up")
        assert unwrapped(custodian, second, bound(2)) == MATERIAL
        other.is_now("swapped")


class _Blind(Elsewhere):
    """It unwraps whatever it is given to the same bytes, of which a part may be right."""

    found = b""

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[bytes]:
        return [self.found] * len(items)

    def rewrap_many(
        self, from_id: str, to_id: str, items: Sequence[tuple[bytes, Binding]]
    ) -> list[bytes]:
        return [wrapped for wrapped, _ in items]


def test_one_unwrapped_key_too_many_is_an_outage(other: Other) -> None:
    """Nothing is taken from such an answer."""

    class Many(_Blind):
        def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[bytes]:
            return [b"another"] * (len(items) + 1)

    custodian = RemoteCustodian(lambda: Many(other.folder), QUICK)
    with pytest.raises(CustodianUnavailableError, match="cannot be used"):
        unwrapped(custodian, b"wrapped")


def test_what_was_wrapped_is_compared_with_what_it_unwraps_to(other: Other) -> None:
    """The material where it is known, and where it is not what it is bound to."""
    blind = _Blind(other.folder)
    custodian = RemoteCustodian(lambda: blind, QUICK)
    blind.found = b"another" + sha256(bound(1).encode())
    with pytest.raises(CustodianUnavailableError, match="what it was not asked"):
        wrapped(custodian, bound(1))
    assert custodian.rewrap_many(KEK_ID, KEK_ID, [(b"wrapped", bound(1))]) == [b"wrapped"]
    with pytest.raises(CustodianUnavailableError, match="what it was not asked"):
        custodian.rewrap_many(KEK_ID, KEK_ID, [(b"wrapped", bound(2))])
    assert custodian.rewrap_many(KEK_ID, KEK_ID, []) == []


def test_an_edited_row_is_named_among_those_that_are_rewrapped(custodian: RemoteCustodian) -> None:
    """As it is where it is unwrapped."""
    sealed = wrapped(custodian, bound(1))
    with pytest.raises(StoreIntegrityError, match="version 2 of key 'orders'"):
        custodian.rewrap_many(KEK_ID, KEK_ID, [(sealed, bound(1)), (sealed, bound(2))])


class _Managed(Elsewhere):
    """It has its master keys made here."""

    def add(self) -> str:
        return f"{KEK_ID}+"

    def forget_all_but(self, kek_id: str) -> None:
        self.calls.append(f"forget all but {kek_id}")


def test_master_keys_are_made_through_it_where_the_other_side_has_that(
    other: Other, custodian: RemoteCustodian
) -> None:
    """Within the same limits; and what it cannot do, this cannot."""
    assert custodian.managing() is None
    side = _Managed(other.folder)
    assert side.managing() is side
    managing = RemoteCustodian(lambda: side, QUICK).managing()
    assert managing is not None
    assert managing.add() == f"{KEK_ID}+"
    managing.forget_all_but(KEK_ID)
    assert side.calls == [f"forget all but {KEK_ID}"]


def test_a_key_that_is_gone_is_no_outage(custodian: RemoteCustodian, other: Other) -> None:
    """It is asked for at once, and by its own name."""
    other.is_now("gone")
    with pytest.raises(MasterKeyError, match="not there any more"):
        wrapped(custodian)
    assert other.calls == ["wrap"]
    assert custodian.statistics().refuses


def test_an_outage_is_tried_again_and_shows_no_text_of_an_sdk(
    custodian: RemoteCustodian, other: Other
) -> None:
    """Which may hold the plaintext of a whole batch."""
    sealed = wrapped(custodian)
    other.is_now("down")
    with pytest.raises(CustodianUnavailableError) as caught:
        unwrapped(custodian, sealed)
    assert str(caught.value) == "the custodian does not answer (ConnectionRefusedError)"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert other.calls == ["wrap", "unwrap", "unwrap", "unwrap"]
    other.is_now("up")
    assert unwrapped(custodian, sealed) == MATERIAL


def test_a_refusal_is_no_outage_and_is_not_tried_again(
    custodian: RemoteCustodian, other: Other
) -> None:
    """However often it comes, the next one is asked for."""
    other.is_now("denied")
    for _ in range(5):
        with pytest.raises(CustodianDeniedError, match="disabled"):
            wrapped(custodian)
    assert other.calls == ["wrap"] * 5


def test_an_answer_that_cannot_be_used_is_an_outage(
    custodian: RemoteCustodian, other: Other
) -> None:
    """Too many, or not bytes: nothing is taken from it."""
    other.is_now("nonsense")
    with pytest.raises(CustodianUnavailableError, match="cannot be used"):
        wrapped(custodian)


def test_a_call_has_a_deadline_and_a_silent_server_takes_few_threads(other: Other) -> None:
    """However long the other side leaves a connection open."""
    limits = replace(QUICK, deadline_seconds=0.2, attempts=1, stuck_threads=2, outages_in_a_row=100)
    custodian = RemoteCustodian(other.connect, limits)
    other.is_now("1.0")
    begun = time.monotonic()
    with pytest.raises(CustodianUnavailableError, match=r"within 0\.2 seconds"):
        wrapped(custodian)
    with pytest.raises(CustodianUnavailableError, match=r"within 0\.2 seconds"):
        wrapped(custodian)
    with pytest.raises(CustodianUnavailableError, match="as many wait for it as may"):
        wrapped(custodian)
    assert time.monotonic() - begun < 1.0
    other.is_now("up")
    time.sleep(1.0)  # the threads end, each with its own call
    assert wrapped(custodian)


def test_after_outages_in_a_row_nobody_is_asked_for_a_while(other: Other) -> None:
    """Then one is let through, and where he is answered everybody is."""
    limits = replace(QUICK, attempts=1, outages_in_a_row=2, rest_seconds=0.3)
    custodian = RemoteCustodian(other.connect, limits)
    sealed = wrapped(custodian)
    other.is_now("down")
    for _ in range(2):
        with pytest.raises(CustodianUnavailableError, match="ConnectionRefusedError"):
            unwrapped(custodian, sealed)
    asked = len(other.calls)
    with pytest.raises(CustodianUnavailableError, match="a moment ago"):
        unwrapped(custodian, sealed)
    assert len(other.calls) == asked
    time.sleep(0.35)
    with pytest.raises(CustodianUnavailableError, match="ConnectionRefusedError"):
        unwrapped(custodian, sealed)
    other.is_now("up")
    with pytest.raises(CustodianUnavailableError, match="a moment ago"):
        unwrapped(custodian, sealed)
    time.sleep(0.35)
    assert unwrapped(custodian, sealed) == MATERIAL
    assert unwrapped(custodian, sealed) == MATERIAL


def test_attempts_end_with_the_deadline(other: Other) -> None:
    """A pause that would outlast it is not begun."""
    custodian = RemoteCustodian(
        other.connect,
        CallLimits(
            deadline_seconds=0.05, attempts=9, first_pause_seconds=0.5, outages_in_a_row=100
        ),
    )
    other.is_now("down")
    begun = time.monotonic()
    with pytest.raises(CustodianUnavailableError):
        wrapped(custodian)
    assert time.monotonic() - begun < 0.5


def test_a_machine_that_cannot_be_reached_at_the_start_is_an_outage() -> None:
    """Whatever opening it raises; and a setting that is wrong is what it is."""

    def connect() -> Elsewhere:
        raise OSError("with a secret")

    with pytest.raises(CustodianUnavailableError) as caught:
        RemoteCustodian(connect, QUICK)
    assert "secret" not in str(caught.value)

    def configured() -> Elsewhere:
        raise ConfigurationError("no address")

    with pytest.raises(ConfigurationError, match="no address"):
        RemoteCustodian(configured, QUICK)


def test_what_fails_once_it_is_closed_is_no_outage(
    other: Other, custodian: RemoteCustodian, caplog: pytest.LogCaptureFixture
) -> None:
    """A key may be asked for beside traffic that has ended."""
    sealed = wrapped(custodian)
    other.is_now("down")
    with pytest.raises(CustodianUnavailableError):
        unwrapped(custodian, sealed)
    custodian.close()
    other.is_now("up")
    assert unwrapped(custodian, sealed) == MATERIAL
    other.is_now("down")
    with pytest.raises(CustodianUnavailableError):
        unwrapped(custodian, sealed)
    assert len(caplog.messages) == 1


def test_a_forked_child_opens_connections_of_its_own(
    custodian: RemoteCustodian, other: Other
) -> None:
    """And leaves those of its parent as they are."""
    sealed = wrapped(custodian)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            custodian.close()
            same = unwrapped(custodian, sealed) == MATERIAL
            os.write(write, f"{len(other.opened)} {same}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        assert answer.read() == "2 True"
    os.waitpid(child, 0)
    assert len(other.opened) == 1
    assert unwrapped(custodian, sealed) == MATERIAL


def test_a_thread_that_must_not_wait_is_refused(custodian: RemoteCustodian) -> None:
    """The service's event loop asks nobody."""
    sealed = wrapped(custodian)
    with blocking.refusing(), pytest.raises(WouldBlockError):
        unwrapped(custodian, sealed)


# Together -------------------------------------------------------------------------------------


def test_keys_that_are_wanted_at_once_are_one_request(tmp_path: Path) -> None:
    """Each gets its own; one whose row was edited is refused and named, and the others are not."""
    Elsewhere.create(tmp_path / "elsewhere")
    other = ElsewhereOfMany(tmp_path / "elsewhere")
    custodian = RemoteCustodian(lambda: other, QUICK)
    versions = range(1, 31)
    materials = {version: bytes([version]) * 32 for version in versions}
    sealed = custodian.wrap_many(KEK_ID, [(materials[each], bound(each)) for each in versions])
    other.calls.clear()

    def unwrap(version: int) -> bytes | str:
        row = sealed[0] if version == 7 else sealed[version - 1]
        try:
            return unwrapped(custodian, row, bound(version))
        except StoreIntegrityError as error:
            return str(error)

    with ThreadPoolExecutor(15) as pool:
        found = dict(zip(versions, pool.map(unwrap, versions), strict=True))
    assert "version 7 of key 'orders' does not unwrap" in str(found.pop(7))
    assert found == {version: materials[version] for version in versions if version != 7}
    sizes = [int(each.split()[1]) for each in other.calls if each.startswith("unwrap ")]
    assert max(sizes) > 1
    with blocking.refusing(), pytest.raises(WouldBlockError):
        unwrapped(custodian, sealed[0])


def test_of_keys_that_went_together_only_the_edited_one_is_refused(tmp_path: Path) -> None:
    """It is found by asking for each alone."""
    Elsewhere.create(tmp_path / "elsewhere")
    other = ElsewhereOfMany(tmp_path / "elsewhere")
    custodian = RemoteCustodian(lambda: other, QUICK)
    sealed = custodian.wrap_many(KEK_ID, [(MATERIAL, bound(each)) for each in (1, 2, 3)])
    other.calls.clear()
    rows = [(sealed[0], bound(1)), (sealed[0], bound(2)), (sealed[2], bound(3))]
    end = time.monotonic() + 5
    first, second, third = custodian._unwrapped_each(KEK_ID, rows, end)
    assert first == third == MATERIAL
    assert isinstance(second, StoreIntegrityError)
    assert "version 2 of key 'orders' does not unwrap" in str(second)
    asked = [each for each in other.calls if each.startswith("unwrap ")]
    assert asked == ["unwrap 3", "unwrap 3", "unwrap 1", "unwrap 1", "unwrap 1", "unwrap 1"]


# Over a store ---------------------------------------------------------------------------------


@pytest.fixture
def remote(sqlite_url: str, custodian: RemoteCustodian) -> Iterator[StoredKeyProvider]:
    """A provider over a fresh store whose keys that machine wraps."""
    database = Database(sqlite_url)
    database.create()
    made = StoredKeyProvider(
        KeyStore(database), custodian, Policy(), store_id=STORE_ID, outage_seconds=60.0
    )
    made.master_keys.begin()
    made.keys.create("orders")
    yield made
    database.close()


def test_a_key_that_was_unwrapped_is_used_through_an_outage(
    remote: StoredKeyProvider, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as is configured; one that was not is not, and a new one is not made."""
    before = remote.get_key("orders")
    remote.keys.create("invoices")
    other.is_now("down")
    assert remote.get_key("orders") == before
    with pytest.raises(CustodianUnavailableError):
        remote.get_key("invoices")
    with pytest.raises(CustodianUnavailableError):
        remote.rotate_key("orders")
    assert remote.keys.get("orders").latest.version == 1
    later = time.monotonic() + 61
    monkeypatch.setattr(wrapping, "monotonic", lambda: later)
    with pytest.raises(CustodianUnavailableError):
        remote.get_key("orders")


def test_a_refusal_ends_what_an_outage_would_not(remote: StoredKeyProvider, other: Other) -> None:
    """Who takes a permission away means it: nothing of before is used, then or later."""
    remote.get_key("orders")
    other.is_now("denied")
    with pytest.raises(CustodianDeniedError):
        remote.get_key("orders")
    other.is_now("down")
    with pytest.raises(CustodianUnavailableError):
        remote.get_key("orders")


def test_a_row_that_was_edited_is_tampering_and_no_outage(
    remote: StoredKeyProvider, other: Other
) -> None:
    """Of the three errors none is another."""
    key = remote.keys.get("orders")
    wrapped = key.latest.wrapped
    edited = replace(key.latest, wrapped=wrapped[:-1] + bytes([wrapped[-1] ^ 1]))
    with pytest.raises(StoreIntegrityError):
        remote.keys.unwrap(key, edited)
    assert "unwrap" in other.calls


def test_what_is_remembered_for_an_outage_is_bounded(
    other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest goes first; and without time for an outage nothing is kept."""
    monkeypatch.setattr(wrapping, "_MOST_REMEMBERED", 2)
    kept = Wrapping(RemoteCustodian(other.connect, QUICK), STORE_ID, outage_seconds=60.0)
    none = Wrapping(RemoteCustodian(other.connect, QUICK), STORE_ID)
    sealed = [kept.wrap(KEK_ID, MATERIAL, bound(number)) for number in range(3)]
    for number, each in enumerate(sealed):
        for asked in (kept, none):
            assert asked.unwrap(KEK_ID, each, bound(number)) == MATERIAL
    other.is_now("down")
    for number in (1, 2):
        assert kept.unwrap(KEK_ID, sealed[number], bound(number)) == MATERIAL
    with pytest.raises(CustodianUnavailableError):
        kept.unwrap(KEK_ID, sealed[0], bound(0))
    with pytest.raises(CustodianUnavailableError):
        none.unwrap(KEK_ID, sealed[2], bound(2))


def test_a_master_key_that_another_keeps_is_rotated_by_him(remote: StoredKeyProvider) -> None:
    """This application neither makes nor forgets it."""
    with pytest.raises(ConfigurationError, match="elsewhere"):
        remote.master_keys.rotate()


def test_threads_share_an_error_as_they_share_a_key(
    remote: StoredKeyProvider, other: Other
) -> None:
    """One of them asks, and all are told."""
    key = remote.keys.get("orders")
    other.is_now("0.2")
    told: list[str] = []

    def use(unwrap: Callable[[], object]) -> None:
        try:
            unwrap()
        except CustodianDeniedError as error:
            told.append(str(error))

    asked = len(other.calls)
    threads = [
        threading.Thread(target=use, args=[lambda: remote.keys.unwrap(key, key.latest)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (told, len(other.calls) - asked) == ([], 1)
    other.is_now("denied")
    use(lambda: remote.keys.unwrap(key, key.latest))
    assert told == ["the key is disabled"]
