"""``mfn master``: what a store is under, and how it is moved, to a machine that can be hurt."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.errors import ConflictError, ExitCode
from tests.support.cli import one_line
from tests.support.custodian import KEK_ID, NAME, Elsewhere, registered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli import Mfn


@pytest.fixture
def there(mfn: Mfn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mfn]:
    """A store under a key file, and the other machine, which a setting names beside it."""
    Elsewhere.create(mfn.home / "elsewhere")
    monkeypatch.setenv("MFN_FORMER_KEY_PROVIDERS", NAME)
    with registered():
        yield mfn


def far(mfn: Mfn, mode: str) -> None:
    """Change how the machine is."""
    (mfn.home / "elsewhere" / "mode").write_text(mode)


def test_status_says_what_the_store_is_under_and_what_is_left(there: Mfn) -> None:
    """Of each custodian; to be moved is what is not under the first one's newest master key."""
    found = there.ok("master", "status", "--json").json
    local, other = found["custodians"]
    assert (local["provider"], local["error"], local["newest"]) == (
        "local",
        None,
        found["master_key"],
    )
    assert local["under"] == {
        found["master_key"]: {"keys": 5, "audit_keys": 1, "authority_keys": 1}
    }
    assert (other["provider"], other["newest"], other["under"]) == (NAME, KEK_ID, {})
    assert (found["left"], found["unknown"]) == (0, {})
    assert len(found["store_id"]) == 32
    said = there.ok("master", "status").out
    assert f"the store {found['store_id']} is under {found['master_key']}" in said
    assert "keys 5, audit keys 1, authority keys 1" in said
    assert f"all of it is under {found['master_key']}" in said


def test_status_is_told_where_nobody_answers(there: Mfn, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is when it is asked for; and nothing is said of what is left."""
    there.ok("master", "migrate", "--to", NAME)
    far(there, "down")
    monkeypatch.setenv("MFN_KEY_PROVIDER", NAME)
    ran = there.ok("master", "status", "--json")
    assert ran.json["left"] is None
    assert "does not answer" in ran.json["custodians"][0]["error"]
    assert "is not usable: the custodian does not answer" in there.ok("master", "status").out
    (there.home / "store-id").unlink()
    (there.home / "master.key").unlink()
    ran = there.ok("master", "status")
    assert "its id is not known here" in ran.out


def test_a_store_is_moved_there_and_back_and_its_data_opens(
    there: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id goes with it, and what it was under before is as it was."""
    Path("plain").write_bytes(b"data")
    there.ok("encrypt", "plain", "-k", "orders")
    key_file = (there.home / "master.key").read_bytes()
    ran = there.ok("master", "migrate", "--to", NAME)
    assert f"every key is wrapped by {KEK_ID} now" in ran.out
    assert f"MFN_KEY_PROVIDER={NAME} and MFN_STORE_ID=" in ran.out
    assert (there.home / "master.key").read_bytes() == key_file
    status = there.ok("master", "status", "--json").json
    assert (there.home / "store-id").read_text().strip() == status["store_id"]
    assert status["master_key"] == KEK_ID
    assert "to move them: mfn master migrate --to local" in there.ok("master", "status").out
    (there.home / "master.key").unlink()
    monkeypatch.setenv("MFN_KEY_PROVIDER", NAME)
    monkeypatch.delenv("MFN_FORMER_KEY_PROVIDERS")
    there.ok("decrypt", "plain.mfn", "-o", "again")
    assert Path("again").read_bytes() == b"data"
    there.ok("backup", "kept")

    moved = there.ok("master", "migrate", "--to", "local", "--json").json
    assert moved["store_id"] == json.loads((there.home / "master.key").read_text())["store_id"]
    monkeypatch.setenv("MFN_KEY_PROVIDER", "local")
    assert "nobody" not in there.ok("master", "status").out
    shutil.rmtree(there.home / "elsewhere")
    there.ok("decrypt", "plain.mfn", "-o", "thrice")


def test_what_held_it_before_is_forgotten_by_a_word_of_its_own(
    there: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doctor names the word, a backup comes first, and the key file stays as it was."""
    there.ok("backup", "before")
    former = there.ok("master", "status", "--json").json["master_key"]
    there.ok("master", "migrate", "--to", NAME)
    monkeypatch.setenv("MFN_KEY_PROVIDER", NAME)
    monkeypatch.setenv("MFN_FORMER_KEY_PROVIDERS", "local")
    (found,) = (e for e in there("doctor", "--json").json if e["check"] == "former-custodian")
    assert "mfn master forget local" in found["advice"]
    told = one_line(there("master", "forget", "local"), ExitCode.STORE)
    assert "first: mfn backup FILE" in told
    there.ok("backup", "after")
    key_file = (there.home / "master.key").read_bytes()
    assert "take it out of the settings" in there.ok("master", "forget", "local").out
    assert (there.home / "master.key").read_bytes() == key_file
    monkeypatch.delenv("MFN_FORMER_KEY_PROVIDERS")
    assert "master status" in one_line(there("master", "forget", former), ExitCode.USAGE)
    seen = there.ok("audit", "show", "--event", "master.forget", "--json").json
    assert {(e["outcome"], e.get("reason")) for e in seen} == {("intent", former), ("ok", None)}
    assert not [e for e in there("doctor", "--json").json if e["check"] == "former-custodian"]


def test_an_authority_key_that_nobody_needs_is_forgotten(mfn: Mfn) -> None:
    """Doctor names it, and by what word it goes."""
    with sqlite3.connect(mfn.home / "keys.db") as database:
        database.execute("INSERT INTO mfn_authority_keys VALUES ('vault:gone:v1', x'00')")
    database.close()
    (found,) = (e for e in mfn("doctor", "--json").json if e["check"] == "unknown-master-key")
    assert "mfn master forget vault:gone:v1" in found["advice"]
    ran = mfn.ok("master", "forget", "vault:gone:v1", "--yes", "--json")
    assert ran.json == {"forgotten": ["vault:gone:v1"], "backups": 0}
    assert not [e for e in mfn("doctor", "--json").json if e["check"] == "unknown-master-key"]


def test_of_two_of_a_kind_that_do_not_answer_each_has_what_is_its_own(mfn: Mfn) -> None:
    """By the name of its key; what is of that kind and of neither counts for the first."""
    key_ids = ("orders", "default-encryption", "default-mac")
    with sqlite3.connect(mfn.home / "keys.db") as database:
        for key_id, name in zip(key_ids, ("new", "old", "other"), strict=True):
            database.execute(
                "UPDATE mfn_keys SET master_id = ? WHERE key_id = ?", (f"vault:{name}:v1", key_id)
            )
    database.close()
    vaults = [
        {
            "provider": "vault",
            "vault_addr": "https://127.0.0.1:1",
            "vault_key_name": name,
            "vault_token_file": str(mfn.home / "none"),
        }
        for name in ("new", "old")
    ]
    file = mfn.folder / "both.json"
    file.write_text(json.dumps({"security": {"key_management": {"former": vaults}}}))
    found = mfn.ok("--config", str(file), "master", "status", "--json").json
    assert [set(each["under"]) for each in found["custodians"][1:]] == [
        {"vault:new:v1", "vault:other:v1"},
        {"vault:old:v1"},
    ]
    assert found["unknown"] == {}


def test_what_nobody_here_has_is_said(there: Mfn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings name too few."""
    there.ok("master", "migrate", "--to", NAME)
    monkeypatch.delenv("MFN_FORMER_KEY_PROVIDERS")
    ran = there.ok("master", "status")
    assert f"nobody here has {KEK_ID}: keys 5" in ran.out
    assert "MFN_FORMER_KEY_PROVIDERS" in ran.out
    told = one_line(there("key", "rotate", "orders"), ExitCode.STORE)
    assert "MFN_KEY_PROVIDER and MFN_FORMER_KEY_PROVIDERS" in told


def test_what_a_rotation_elsewhere_left_is_rewrapped(
    there: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is new is under the newest version at once; the rest when this says so."""
    there.ok("master", "migrate", "--to", NAME)
    monkeypatch.setenv("MFN_KEY_PROVIDER", NAME)
    monkeypatch.setenv("MFN_FORMER_KEY_PROVIDERS", "local")
    second = Elsewhere.rotate(there.home / "elsewhere")
    assert "mfn master rewrap" in there.ok("master", "status").out
    advice = [each for each in there("doctor", "--json").json if each["check"] == "master-version"]
    assert "mfn master rewrap" in advice[0]["advice"]
    refused = one_line(there("master", "rotate"), ExitCode.CONFIGURATION)
    assert "mfn master rewrap" in refused
    assert there.ok("master", "rewrap", "--json").json == {"master_key": second}
    assert there.ok("master", "status", "--json").json["left"] == 0
    assert there.ok("master", "rewrap").out == f"every key is wrapped by {second} now\n"
    assert not [each for each in there("doctor", "--json").json if "master" in each["check"]]


def test_a_rewrap_is_no_move_to_another(there: Mfn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is under another's master key: that is said, and how to move it."""
    monkeypatch.setenv("MFN_KEY_PROVIDER", NAME)
    monkeypatch.setenv("MFN_FORMER_KEY_PROVIDERS", "local")
    told = one_line(there("master", "rewrap"), ExitCode.CONFIGURATION)
    assert "mfn master migrate --to elsewhere" in told


def test_a_move_that_was_cut_off_is_seen_by_doctor_and_by_a_backup(
    there: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both name what finishes it, and it may be turned round as well."""
    monkeypatch.setenv("MFN_KEY_PROVIDER", NAME)
    monkeypatch.setenv("MFN_FORMER_KEY_PROVIDERS", "local")
    with open_keyring(home=there.home) as keyring:
        macs = keyring.provider.record_macs
        former = keyring.provider.store.require_status().master_id
        keyring.provider.store.move_to(former, KEK_ID, macs.make(KEK_ID))
        keyring.provider.keys.rotate("orders")
    (found,) = (e for e in there("doctor", "--json").json if e["check"] == "master-move")
    assert "mfn master rewrap" in found["advice"]
    assert "mfn master rewrap" in one_line(there("backup", "kept"), ConflictError.kind.exit_code)
    monkeypatch.setenv("MFN_KEY_PROVIDER", "local")
    monkeypatch.setenv("MFN_FORMER_KEY_PROVIDERS", NAME)
    assert "mfn master rotate" in one_line(there("backup", "kept"), ConflictError.kind.exit_code)
    assert there.ok("master", "migrate", "--to", "local", "--json").json["master_key"] == former
    assert there.ok("master", "status", "--json").json["left"] == 0
    there.ok("backup", "kept")


def test_a_target_that_does_not_answer_changes_nothing(there: Mfn) -> None:
    """Neither in the store nor on this machine."""
    far(there, "down")
    assert "does not answer" in one_line(there("master", "migrate", "--to", NAME), ExitCode.STORE)
    assert not (there.home / "store-id").exists()
    far(there, "up")
    assert there.ok("master", "status", "--json").json["left"] == 0


def test_a_target_is_not_made_for_a_store_that_does_not_open(there: Mfn) -> None:
    """Here its key file is of another store."""
    (there.home / "master.key").unlink()
    told = one_line(there("master", "migrate", "--to", NAME), ExitCode.STORE)
    assert "master.key" in told
    assert not (there.home / "store-id").exists()


def test_nothing_is_moved_where_there_is_no_store(empty: Mfn) -> None:
    """It is not made by a move either."""
    with registered():
        told = one_line(empty("master", "migrate", "--to", NAME), ExitCode.STORE)
        assert "mfn init" in told
        told = one_line(empty("master", "status"), ExitCode.STORE)
    assert "mfn init" in told
