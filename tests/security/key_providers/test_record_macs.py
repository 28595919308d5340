"""The keys that authenticate records, as a process holds them while others change the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from mycelium_fractal_net.security.errors import MasterKeyError, StoreIntegrityError
from mycelium_fractal_net.security.key_providers import Binding, LocalCustodian
from mycelium_fractal_net.security.key_providers.record_macs import RecordMacs
from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
from mycelium_fractal_net.security.key_store.record_mac import STORE_ID_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider


class Counting(LocalCustodian):
    """A custodian that counts what it unwraps."""

    unwrapped = 0

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[SecretBytes]:
        self.unwrapped += len(items)
        return super().unwrap_many(kek_id, items)


@pytest.fixture
def process(local_provider: LocalKeyProvider, home: Path) -> Callable[[], RecordMacs]:
    """Makes what one more process on the same store has, which holds nothing yet."""
    local_provider.keys.create("orders")

    def make() -> RecordMacs:
        custodian = Counting(home / "master.key", local_provider.policy)
        wrapping = Wrapping(custodian, local_provider.store_id)
        return RecordMacs(local_provider.store, wrapping, local_provider.policy)

    return make


def replace_key(macs: RecordMacs, master_id: str) -> None:
    """What a store has that was moved away and back: another MAC key under the same master key."""
    with macs.store.database.write() as connection:
        connection.execute(
            text("UPDATE mfn_authority_keys SET wrapped = :wrapped WHERE master_id = :id"),
            {"wrapped": macs.make(master_id), "id": master_id},
        )


def unwrapped(macs: RecordMacs) -> int:
    custodian = macs.wrapping.custodian
    assert isinstance(custodian, Counting)
    return custodian.unwrapped


def test_a_key_that_was_replaced_is_used_by_the_next_who_writes(
    process: Callable[[], RecordMacs],
) -> None:
    """A process seals under what the store has now, though it holds the key of before."""
    before, other = process(), process()
    stored = before.store.keys.load("orders")
    kind, master_id = before.store.keys.kind, stored.record.master_id
    assert before.check(kind, stored) is stored.record
    replace_key(before, master_id)
    sealed = before.seal(kind, stored.record)
    assert sealed != stored.mac
    assert other.check(kind, stored._replace(mac=sealed)) is stored.record
    assert unwrapped(before) == 2


def test_a_reader_looks_once_more_before_it_refuses(process: Callable[[], RecordMacs]) -> None:
    """What another process sealed under the new key is authentic; what nobody sealed is not."""
    reader, writer = process(), process()
    stored = reader.store.keys.load("orders")
    kind = reader.store.keys.kind
    reader.check(kind, stored)
    replace_key(writer, stored.record.master_id)
    sealed = writer.seal(kind, stored.record)
    assert reader.check(kind, stored._replace(mac=sealed)) is stored.record
    for mac in (stored.mac, bytes(32), sealed[:-1], b""):
        with pytest.raises(StoreIntegrityError, match="'orders' fails its authentication"):
            reader.check(kind, stored._replace(mac=mac))


def test_a_key_is_unwrapped_once_however_often_it_is_asked_for(
    process: Callable[[], RecordMacs],
) -> None:
    """Also where the store is asked whether it is still the same, and a record is refused."""
    macs = process()
    stored = macs.store.keys.load("orders")
    kind, master_id = macs.store.keys.kind, stored.record.master_id
    assert not macs.knows(master_id)
    for _ in range(3):
        macs.check(kind, stored)
        assert macs.seal(kind, stored.record) == stored.mac
        assert macs.of(master_id) is macs.of(master_id, now=True)
    with pytest.raises(StoreIntegrityError):
        macs.check(kind, stored._replace(mac=bytes(32)))
    assert unwrapped(macs) == 1
    assert macs.knows(master_id)
    macs.forget()
    assert not macs.knows(master_id)
    macs.check(kind, stored)
    assert unwrapped(macs) == 2


def test_a_key_that_the_store_has_no_more_serves_what_was_read_under_it(
    process: Callable[[], RecordMacs],
) -> None:
    """A process that has it goes on; one that has not refuses."""
    macs, late = process(), process()
    stored = macs.store.keys.load("orders")
    master_id = stored.record.master_id
    held = macs.of(master_id)
    with macs.store.database.write() as connection:
        connection.execute(text("DELETE FROM mfn_authority_keys"))
    assert macs.of(master_id, now=True) is held
    assert macs.check(macs.store.keys.kind, stored) is stored.record
    with pytest.raises(StoreIntegrityError, match="is refused: the store holds no authority key"):
        late.check(late.store.keys.kind, stored)


def test_a_key_is_adopted_before_the_store_has_it(process: Callable[[], RecordMacs]) -> None:
    """What is restored is checked under the key that comes with it, and no other is asked for."""
    macs = process()
    assert isinstance(macs.wrapping.custodian, LocalCustodian)
    newer = macs.wrapping.custodian.add()
    wrapped = macs.make(newer)
    assert not macs.knows(newer)
    macs.adopt(newer, wrapped)
    assert macs.knows(newer)
    adopted = macs.of(newer)
    assert macs.of(newer, now=True) is adopted
    macs.forget()
    assert macs.of(newer) is adopted
    again = process()
    again.adopt(newer, wrapped)
    assert again.of(newer).tag(b"row") == adopted.tag(b"row")
    assert process().make(newer) != wrapped


def test_a_key_under_a_former_master_key_is_read_where_the_custodian_has_that(
    process: Callable[[], RecordMacs],
) -> None:
    """Records that have not moved yet are authentic under it."""
    macs = process()
    assert isinstance(macs.wrapping.custodian, LocalCustodian)
    other = macs.wrapping.custodian.add()
    wrapped = macs.make(other)
    with macs.store.database.write() as connection:
        connection.execute(
            text("INSERT INTO mfn_authority_keys (master_id, wrapped) VALUES (:id, :wrapped)"),
            {"id": other, "wrapped": wrapped},
        )
    adopting = process()
    adopting.adopt(other, wrapped)
    assert macs.of(other).tag(b"row") == adopting.of(other).tag(b"row")


def test_what_a_key_for_records_is_bound_to_stays_for_ever(
    process: Callable[[], RecordMacs], local_provider: LocalKeyProvider
) -> None:
    """A store that was made by any release is read by the next; no named key has that type."""
    assert process().binding == Binding(
        store_id=local_provider.store_id,
        key_id="",
        key_type="authority",
        use="",
        algorithm="HMAC-SHA-256",
        version=0,
        handle=b"",
    )
    assert len(local_provider.store_id) == STORE_ID_BYTES == 16


def test_a_master_key_that_is_nobodys_is_told_from_the_stores_own(
    process: Callable[[], RecordMacs], local_provider: LocalKeyProvider, home: Path
) -> None:
    """A record that names it is refused alone; that of the store is missing for all."""
    macs = process()
    with pytest.raises(StoreIntegrityError, match="neither the store's nor a former one"):
        macs.of("local:nobody")
    stored = macs.store.keys.load("orders")
    other = home / "other.key"
    away = RecordMacs(
        macs.store,
        Wrapping(LocalCustodian.create(other, macs.policy), local_provider.store_id),
        macs.policy,
    )
    with pytest.raises(MasterKeyError) as caught:
        away.check(macs.store.keys.kind, stored)
    assert not isinstance(caught.value, StoreIntegrityError)
