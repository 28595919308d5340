"""Several custodians at once, and a store that is moved from one of them to another."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    CustodianUnavailableError,
    MasterKeyError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import (
    Binding,
    LocalCustodian,
    LocalKeyProvider,
    StoredKeyProvider,
)
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from mycelium_fractal_net.security.key_providers.several import SeveralCustodians
from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
from mycelium_fractal_net.security.policy import Policy
from tests.support.custodian import KEK_ID, NEXT_ID, QUICK, Elsewhere

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import Custodian

MATERIAL = b"k" * 32


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """The folder of a machine that holds a master key."""
    Elsewhere.create(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


def remote(folder: Path) -> RemoteCustodian:
    return RemoteCustodian(lambda: Elsewhere(folder), QUICK)


def bound(custodian: LocalCustodian, version: int = 1) -> Binding:
    return Binding(
        custodian.store_id, "orders", "encryption", "data", "AES-256-GCM", version, b"12345678"
    )


def over(provider: LocalKeyProvider, custodian: Custodian) -> StoredKeyProvider:
    """The same store over other custodians."""
    store = provider.store
    return StoredKeyProvider(store, custodian, Policy(), store_id=provider.store_id)


def test_each_wraps_under_the_master_keys_that_it_holds(home: Path, far: Path) -> None:
    """What is new is wrapped by the first; a rewrap takes a key from one to the other and back."""
    local = LocalCustodian.create(home / "master.key", Policy())
    elsewhere = remote(far)
    with closing(SeveralCustodians(elsewhere, [local])) as both:
        item = (MATERIAL, bound(local))
        assert (both.scheme, both.newest_id()) == ("elsewhere", KEK_ID)
        assert both.parts == (elsewhere, local)
        assert both.holds(KEK_ID)
        assert both.holds(local.newest_id())
        assert not both.holds("vault:other:v1")
        with pytest.raises(MasterKeyError, match="MFN_FORMER_KEY_PROVIDERS"):
            both.wrap_many("vault:other:v1", [item])
        (here,) = both.wrap_many(local.newest_id(), [item])
        (there,) = both.rewrap_many(local.newest_id(), KEK_ID, [(here, item[1])])
        assert elsewhere.unwrap_many(KEK_ID, [(there, item[1])]) == [MATERIAL]
        (back,) = both.rewrap_many(KEK_ID, local.newest_id(), [(there, item[1])])
        assert local.unwrap_many(local.newest_id(), [(back, item[1])]) == [MATERIAL]
        (again,) = both.rewrap_many(KEK_ID, KEK_ID, [(there, item[1])])
        assert both.unwrap_many(KEK_ID, [(again, item[1])]) == [MATERIAL]
        with pytest.raises(StoreIntegrityError):
            both.unwrap_many(KEK_ID, [(again, bound(local, 2))])
        both.ping()
        assert both.inspect().place == str(far)
        assert both.managing() is None
        assert both.statistics() is not None
    turned = SeveralCustodians(local, [elsewhere])
    assert turned.managing() is local
    assert local.parts == (local,)
    with pytest.raises(MasterKeyError, match="MFN_KEY_PROVIDER"):
        local.check(KEK_ID)


def test_no_master_key_is_known_to_two_custodians_under_one_name(far: Path, tmp_path: Path) -> None:
    """Which of them wrapped a key could not be told."""
    Elsewhere.create(tmp_path / "other")
    with pytest.raises(ConfigurationError, match="two custodians have a master key called"):
        SeveralCustodians(remote(far), [remote(tmp_path / "other")])


class Replica(Elsewhere):
    """A machine whose master key other machines have as well, as AWS KMS has keys in regions."""

    is_one_key_everywhere = True


def test_one_key_in_two_places_is_no_other_key(far: Path) -> None:
    """So a store that moves to another region keeps what is kept in the former one."""
    parts = [RemoteCustodian(lambda: Replica(far), QUICK) for _ in range(2)]
    both = SeveralCustodians(parts[0], parts[1:])
    item = (
        MATERIAL,
        Binding(bytes(16), "orders", "encryption", "data", "AES-256-GCM", 1, b"1" * 8),
    )
    (wrapped,) = both.wrap_many(KEK_ID, [item])
    assert parts[1].unwrap_many(KEK_ID, [(wrapped, item[1])]) == [MATERIAL]


def test_keys_are_rewrapped_some_at_a_time_and_seen_to_unwrap(home: Path, far: Path) -> None:
    """A call has a deadline, and what is not seen to unwrap takes nobody's place."""
    local = LocalCustodian.create(home / "master.key", Policy())
    machine = Elsewhere(far)
    both = SeveralCustodians(RemoteCustodian(lambda: machine, QUICK), [local])
    wrapping = Wrapping(both, local.store_id)
    items = [(MATERIAL, bound(local, version)) for version in range(1, 131)]
    wrapped = local.wrap_many(local.newest_id(), items)
    asked = [(each, binding) for each, (_, binding) in zip(wrapped, items, strict=True)]
    moved = wrapping.rewrap(local.newest_id(), KEK_ID, asked)
    assert len(moved) == 130
    assert machine.calls == ["wrap", "unwrap"] * 3
    assert wrapping.rewrap(KEK_ID, KEK_ID, []) == []


def test_a_store_is_moved_between_custodians_and_turned_round_on_the_way(
    local_provider: LocalKeyProvider, far: Path
) -> None:
    """Everything is under the target in the end: keys, credentials, the audit key."""
    local_provider.keys.create("orders")
    local_provider.rotate_key("orders")
    local_provider.credentials.create("app", ("encrypt:*",))
    local_provider.audit_keys.mac()
    expected = local_provider.get_key("orders")
    local_id = local_provider.custodian.newest_id()
    there = over(local_provider, SeveralCustodians(remote(far), [local_provider.custodian]))
    with pytest.raises(ConfigurationError, match="mfn master migrate --to elsewhere"):
        there.master_keys.rewrap()
    assert there.master_keys.way_on() == "mfn master migrate --to elsewhere"

    def cut_off(_: int) -> None:
        raise KeyboardInterrupt

    there.keys.create("second")
    with pytest.raises(KeyboardInterrupt):
        there.master_keys.migrate(cut_off)
    assert there.store.require_status().master_id == KEK_ID
    assert there.master_keys.former(KEK_ID) == [local_id]
    assert there.master_keys.way_on() == "mfn master rewrap"
    back = over(local_provider, SeveralCustodians(local_provider.custodian, [remote(far)]))
    assert back.master_keys.way_on() == "mfn master rotate"
    assert back.master_keys.migrate() == local_id
    assert list(back.store.under_each_master()) == [local_id]
    assert back.get_key("orders") == expected

    seen: list[int] = []
    assert there.master_keys.migrate(seen.append) == KEK_ID
    assert seen == [1, 1]
    assert there.store.under_each_master() == {
        KEK_ID: {"keys": 2, "credentials": 1, "audit_keys": 1, "authority_keys": 1}
    }
    assert local_provider.custodian.holds(local_id)  # and forgets nothing
    alone = over(local_provider, remote(far))
    assert alone.get_key("orders") == expected
    alone.master_keys.check()
    with pytest.raises(MasterKeyError):
        over(local_provider, local_provider.custodian).master_keys.check()


def test_a_rotation_elsewhere_is_rewrapped_in_few_calls(
    local_provider: LocalKeyProvider, far: Path
) -> None:
    """A hundred keys are asked for at once, and what is there already is passed over."""
    for number in range(20):
        local_provider.keys.create(f"k{number:02}")
    there = over(local_provider, SeveralCustodians(remote(far), [local_provider.custodian]))
    there.master_keys.migrate()
    assert Elsewhere.rotate(far) == NEXT_ID
    machine = Elsewhere(far)
    alone = over(local_provider, RemoteCustodian(lambda: machine, QUICK))
    assert alone.master_keys.rewrap() == NEXT_ID
    assert len(machine.calls) < 20
    assert list(alone.store.under_each_master()) == [NEXT_ID]
    assert alone.master_keys.rewrap() == NEXT_ID  # there is nothing left to do
    alone.keys.create("later")
    assert alone.keys.get("later").master_id == NEXT_ID


def test_nothing_leaves_a_store_that_does_not_open_here(
    local_provider: LocalKeyProvider, far: Path
) -> None:
    """Neither out of it nor into a custodian that does not answer."""
    local_provider.keys.create("orders")
    both = SeveralCustodians(remote(far), [local_provider.custodian])
    wrong = StoredKeyProvider(local_provider.store, both, Policy(), store_id=bytes(16))
    with pytest.raises(StoreIntegrityError, match="authority key"):
        wrong.master_keys.migrate()
    there = over(local_provider, both)
    (far / "mode").write_text("down")
    with pytest.raises(CustodianUnavailableError):
        there.master_keys.migrate()
    assert local_provider.store.require_status().master_id.startswith("local:")
    assert local_provider.get_key("orders")
