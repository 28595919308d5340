"""A former master key is forgotten where nothing of the store needs it, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    ConflictError,
    CustodianUnavailableError,
    InvalidInputError,
    MasterKeyInUseError,
)
from mycelium_fractal_net.security.key_providers import LocalKeyProvider, StoredKeyProvider
from mycelium_fractal_net.security.key_providers.remote import RemoteCustodian
from mycelium_fractal_net.security.key_providers.several import SeveralCustodians
from mycelium_fractal_net.security.key_store.backup_table import MadeBackup
from mycelium_fractal_net.security.policy import Policy
from tests.support.custodian import KEK_ID, QUICK, Elsewhere

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import Custodian


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """The folder of a machine that holds a master key."""
    Elsewhere.create(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


def over(provider: StoredKeyProvider, *custodians: Custodian) -> StoredKeyProvider:
    """The same store over these custodians, the first of which wraps what is new."""
    several = SeveralCustodians(custodians[0], custodians[1:])
    return StoredKeyProvider(provider.store, several, Policy(), store_id=provider.store_id)


def remote(folder: Path) -> RemoteCustodian:
    return RemoteCustodian(lambda: Elsewhere(folder), QUICK)


@pytest.fixture
def moved(local_provider: LocalKeyProvider, far: Path) -> StoredKeyProvider:
    """A store that was moved away from a key file, and is over both."""
    local_provider.keys.create("orders")
    local_provider.credentials.create("app", ("encrypt:*",))
    found = over(local_provider, remote(far), local_provider.custodian)
    found.master_keys.migrate()
    return found


def note_backup(provider: StoredKeyProvider, master_id: str) -> None:
    """Note a backup that holds all there is."""
    handles = [each.handle for key in provider.keys.all() for each in key.versions]
    before = provider.store.require_status().master_id
    for now in (master_id, before):  # a backup is noted under the store's own
        with provider.store.database.write() as connection:
            connection.exec_driver_sql(f"UPDATE mfn_store_meta SET master_id = '{now}'")
        if now == master_id:
            made = MadeBackup(f"of {master_id}", 1, 1, master_id)
            provider.store.record_backup(made, handles)


def test_what_it_was_moved_away_from_is_forgotten(moved: StoredKeyProvider) -> None:
    """With the backups that open with it alone, once there is one of the present."""
    local_id = moved.custodian.parts[1].newest_id()
    note_backup(moved, local_id)
    with pytest.raises(MasterKeyInUseError, match="no backup of its present master key"):
        moved.former_masters.forget("local")
    assert moved.store.backups_of_each_master() == {local_id: 1}
    note_backup(moved, KEK_ID)
    found = moved.former_masters.forget("local")
    assert (found.master_ids, found.rows, found.external, found.backups) == (
        (local_id,),
        {},
        (),
        1,
    )
    assert moved.store.backups_of_each_master() == {KEK_ID: 1}
    assert moved.store.not_held() == (0, [])
    assert moved.former_masters.forget("local").master_ids == ()  # it is a custodian here
    assert moved.custodian.holds(local_id)  # which keeps it
    assert moved.get_key("orders")
    with pytest.raises(InvalidInputError, match="knows no such master key"):
        moved.former_masters.forget(local_id)


@pytest.mark.parametrize("named", ["local", "id"])
def test_what_rows_are_under_is_not_forgotten(
    moved: StoredKeyProvider, far: Path, named: str
) -> None:
    """A move that was turned round, and cut off: it says what ends it."""
    local = moved.custodian.parts[1]
    back = over(moved, local, remote(far))

    def cut_off(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back.master_keys.migrate(cut_off)
    moved.keys.create("later")
    with pytest.raises(MasterKeyInUseError, match="the store is under it"):
        moved.former_masters.forget("local" if named == "local" else local.newest_id())
    with pytest.raises(MasterKeyInUseError, match=r"credentials 1.*: mfn master rotate"):
        back.former_masters.forget("elsewhere" if named == "local" else KEK_ID)
    back.master_keys.migrate()
    assert back.former_masters.forget("elsewhere").master_ids == ()


def test_an_authority_key_of_nobody_is_forgotten_by_its_id(moved: StoredKeyProvider) -> None:
    """Whoever writes the store can add one, and so can a move to somebody who is gone."""
    with moved.store.database.write() as connection:
        connection.exec_driver_sql("INSERT INTO mfn_authority_keys VALUES ('vault:gone:v1', x'00')")
    assert moved.former_masters.references("vault").master_ids == ("vault:gone:v1",)
    assert moved.former_masters.forget("vault:gone:v1").rows == {}
    assert list(moved.store.under_each_master()) == [KEK_ID]


def test_a_custodian_with_private_keys_is_not_forgotten(
    moved: StoredKeyProvider, far: Path, tmp_path: Path
) -> None:
    """They are not with the present one, whoever of its kind that is."""
    for number in range(4):
        moved.keys.create(f"k{number}", "signing", external=True)
    assert moved.former_masters.references("elsewhere").external == ()
    local = over(moved, moved.custodian.parts[1], remote(far))
    local.master_keys.migrate()
    with pytest.raises(MasterKeyInUseError, match=r"\(k0:v1, k1:v1, k2:v1 and 1 more\)"):
        local.former_masters.forget("elsewhere")
    (far / "mode").write_text("denied")
    assert len(moved.former_masters.references("elsewhere").external) == 4
    (far / "mode").write_text("down")
    with pytest.raises(CustodianUnavailableError):  # which is no word about them
        moved.former_masters.references("elsewhere")


def test_nothing_is_forgotten_while_a_store_is_moved(moved: StoredKeyProvider) -> None:
    """What is to come under it nobody has counted."""
    with moved.store.database.moving(), pytest.raises(ConflictError):
        moved.former_masters.forget("local")
