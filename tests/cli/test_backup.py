"""``mfn backup`` and ``mfn restore`` from the outside, and what ``mfn doctor`` says of them."""

from __future__ import annotations

import json
import shutil
import stat
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.doctor import Finding, Severity, diagnose
from mycelium_fractal_net.security.backup import record_backup, verify_backup
from mycelium_fractal_net.security.errors import AuditUnavailableError, ExitCode
from mycelium_fractal_net.security.key_store.backup_table import MadeBackup
from tests.support.cli import Mfn, one_line

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def elsewhere(mfn: Mfn, tmp_path: Path) -> Mfn:
    """``mfn`` on another machine, with the same master key and no store."""
    home = tmp_path / "elsewhere"
    home.mkdir(mode=0o700)
    shutil.copy(mfn.home / "master.key", home)
    return Mfn(home, mfn.folder, mfn._capture)


def test_a_backup_restores_on_another_machine(mfn: Mfn, elsewhere: Mfn) -> None:
    """What was sealed opens there; the file is private and not replaced by accident."""
    plain = mfn.folder / "plain"
    plain.write_text("data")
    mfn.ok("encrypt", plain, "-k", "orders")
    made = mfn.ok("backup", "keys.mfb")
    assert "keys.mfb: backup " in made.out
    assert "key versions" in made.out
    file = mfn.folder / "keys.mfb"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = file.read_bytes()
    assert "exists" in one_line(mfn("backup", "keys.mfb"), ExitCode.EXISTS)
    assert file.read_bytes() == kept
    told = elsewhere.ok("restore", "keys.mfb")
    assert "restored backup" in told.out
    assert "confirm" not in told.out
    assert elsewhere.ok("decrypt", "plain.mfn", "-o", "-").out == "data"
    mfn.ok("-q", "backup", "--force", "keys.mfb")
    assert file.read_bytes() != kept


def test_a_backup_is_verified_without_a_store(mfn: Mfn, elsewhere: Mfn) -> None:
    """The master key alone opens it; it says what it holds."""
    made = mfn.ok("backup", "keys.mfb", "--json").json
    seen = elsewhere.ok("backup", "--verify", "keys.mfb", "--json").json
    assert seen == made
    assert seen["rows"]["keys"] == seen["versions"] == 5
    assert not (elsewhere.home / "keys.db").exists()
    assert elsewhere.ok("backup", "--verify", "keys.mfb").out.startswith("whole: backup ")


def test_a_backup_through_a_pipe_counts_once_it_was_read_back(mfn: Mfn) -> None:
    """Of standard output nobody here knows whether it arrived."""
    piped = mfn("backup", "-")
    assert (piped.code, piped.raw[:4]) == (0, b"MFB\x01")
    assert "--verify --record" in piped.err
    with open_keyring(home=mfn.home) as keyring:
        assert keyring.provider.store.last_backup() is None
    back = mfn.process("backup", "--verify", "--record", "-", input=piped.raw)
    assert (back.code, back.err) == (0, "")
    with open_keyring(home=mfn.home) as keyring:
        assert keyring.provider.store.not_held() == (0, [])


def test_what_makes_no_sense_is_said_in_one_line(mfn: Mfn, elsewhere: Mfn, tmp_path: Path) -> None:
    """Each with its exit code, and with what to do."""
    mfn.ok("backup", "keys.mfb")
    assert "--verify" in one_line(mfn("backup", "--record", "keys.mfb"), ExitCode.USAGE)
    assert "not empty" in one_line(mfn("restore", "keys.mfb"), ExitCode.STORE)
    assert "cannot be read" in one_line(elsewhere("restore", "absent.mfb"), ExitCode.INPUT)
    cut = mfn.folder / "cut.mfb"
    cut.write_bytes((mfn.folder / "keys.mfb").read_bytes()[:-1])
    one_line(elsewhere("restore", "cut.mfb"), ExitCode.NOT_AUTHENTIC)
    one_line(elsewhere("backup", "--verify", "cut.mfb"), ExitCode.NOT_AUTHENTIC)
    bare = Mfn(tmp_path / "bare", mfn.folder, mfn._capture)
    assert "master.key is not there" in one_line(bare("restore", "keys.mfb"), ExitCode.STORE)
    initialise(home=tmp_path / "other").close()
    other = Mfn(tmp_path / "other", mfn.folder, mfn._capture)
    assert "another store" in one_line(other("restore", "keys.mfb"), ExitCode.STORE)


def test_a_restore_lists_the_credentials_that_wait(mfn: Mfn, elsewhere: Mfn) -> None:
    """By id, name and scopes; one is confirmed, then the rest, then none is left."""
    first = mfn.ok("credential", "create", "one", "--scope", "encrypt:orders", "--json").json
    second = mfn.ok("credential", "create", "two", "--scope", "*", "--json").json
    mfn.ok("backup", "keys.mfb")
    told = elsewhere.ok("restore", "keys.mfb").out
    assert "2 credentials to confirm" in told
    assert first["id"] in told
    assert "encrypt:orders" in told
    usage = elsewhere("credential", "confirm")
    assert "--all" in one_line(usage, ExitCode.USAGE)
    said = elsewhere.ok("credential", "confirm", first["id"]).out
    assert said == f"confirmed: {first['id']} (one)\n"
    assert second["id"] in elsewhere.ok("credential", "confirm", "--all").out
    assert "nothing waits" in elsewhere.ok("credential", "confirm", "--all").out
    states = {each["state"] for each in elsewhere.ok("credential", "list", "--json").json}
    assert states == {"active"}


def test_a_restore_says_in_json_what_it_did(mfn: Mfn, elsewhere: Mfn) -> None:
    """The backup, what was rotated for its raw messages, and the credentials that wait."""
    with open_keyring(home=mfn.home) as keyring:
        keyring.encrypt(b"raw", key_id="orders", format="raw")
    made = mfn.ok("credential", "create", "one", "--scope", "*", "--json").json
    backup = mfn.ok("backup", "keys.mfb", "--json").json
    told = elsewhere.ok("restore", "keys.mfb", "--json").json
    assert told["rotated"] == ["orders:v2"]
    assert [each["id"] for each in told["unconfirmed"]] == [made["id"]]
    assert told["unconfirmed"][0]["state"] == "unconfirmed"
    del backup["activated"]
    assert {name: told[name] for name in backup} == backup
    other = Mfn(elsewhere.home.parent / "third", mfn.folder, mfn._capture)
    other.home.mkdir(mode=0o700)
    shutil.copy(mfn.home / "master.key", other.home)
    assert "rotated, for its raw messages: orders:v2" in other.ok("restore", "keys.mfb").out


def test_audit_records_make_sense_after_a_restore(mfn: Mfn, elsewhere: Mfn) -> None:
    """A new chain names the backup; the former ones stayed, and where is said."""
    made = mfn.ok("backup", "keys.mfb", "--json").json
    machine = (mfn.home / "audit" / "machine").read_text()
    elsewhere.ok("restore", "keys.mfb")
    told = elsewhere.ok("audit", "verify")
    assert f"1 chain of before the restore, whose records stayed in the audit folder {machine}" in (
        told.out
    )
    shape = elsewhere.ok("audit", "verify", "--json").json
    assert [each["machine"] for each in shape["before_restore"]] == [machine]
    (record,) = elsewhere.ok("audit", "show", "--event", "store.restore", "--json").json
    assert (record["sequence"], record["subject"]) == (1, made["backup_id"])
    (ended, begun) = mfn.ok("audit", "show", "--event", "store.backup", "--json").json
    assert (begun["outcome"], ended["outcome"]) == ("begun", "ok")
    assert begun["subject"] == ended["subject"] == made["backup_id"]


# Waiting for a backup -----------------------------------------------------------------------


def test_with_backups_required_keys_of_init_wait_for_one(
    empty: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They say what for; the backup says what it activated."""
    file = empty.folder / "config.json"
    file.write_text('{"rotation": {"require_backup": true}}')
    monkeypatch.setenv("MFN_CONFIG", str(file))
    assert "mfn backup FILE" in empty.ok("init").out
    (empty.folder / "plain").write_text("data")
    refused = one_line(empty("encrypt", "plain"), ExitCode.FORBIDDEN)
    assert "version 1 waits for a backup that holds it: mfn backup FILE" in refused
    assert "mfn backup FILE" in one_line(
        empty("key", "activate", "default-encryption"), ExitCode.FORBIDDEN
    )
    assert empty("doctor").code == ExitCode.DOCTOR_WARNING
    told = empty.ok("backup", "keys.mfb").out
    assert "activated, since the backup holds it: default-encryption:v1" in told
    empty.ok("encrypt", "plain")
    assert "once a backup holds it: mfn backup FILE" in empty.ok("key", "create", "orders").out
    assert "once a backup holds it" in empty.ok("key", "rotate", "default-encryption").out
    (finding,) = [each for each in json_of(empty, "doctor") if each["check"] == "no-active-version"]
    assert "waits for a backup that holds it: mfn backup FILE" in finding["advice"]


def json_of(mfn: Mfn, *arguments: str) -> Any:
    """What a command prints as JSON, whatever it ends with."""
    return mfn(*arguments, "--json").json


# mfn doctor ---------------------------------------------------------------------------------


def found(home: Path, check: str, *, automatic: bool = False) -> list[Finding]:
    """What the doctor finds of one kind, where the service rotates keys or does not."""
    file = home.parent / "rotating.json"
    key_management = {"rotation_enabled": automatic}
    file.write_text(json.dumps({"security": {"key_management": key_management}}))
    settings = load_settings(file, environ={"MFN_HOME": str(home)})
    return [each for each in diagnose(settings) if each.check == check]


def test_the_doctor_warns_of_versions_that_no_backup_holds(mfn: Mfn) -> None:
    """Where keys are rotated by themselves; elsewhere once there are backups at all."""
    assert found(mfn.home, "no-backup") == []
    (finding,) = found(mfn.home, "no-backup", automatic=True)
    assert finding.severity is Severity.WARNING
    assert finding.subject == (
        "key default-encryption:v1, default-mac:v1, default-signing:v1 and 2 more"
    )
    mfn.ok("backup", "keys.mfb")
    assert found(mfn.home, "no-backup", automatic=True) == []
    mfn.ok("key", "rotate", "orders")
    (finding,) = found(mfn.home, "no-backup")
    assert (finding.severity, finding.subject) == (Severity.NOTICE, "key orders:v2")


def test_the_doctor_tells_the_age_of_the_last_backup(mfn: Mfn) -> None:
    """From thirty days on."""
    with open_keyring(home=mfn.home) as keyring:
        store = keyring.provider.store
        long_ago = keyring.provider.clock() - timedelta(days=31)
        micros = int(long_ago.timestamp()) * 1_000_000
        store.record_backup(MadeBackup("0" * 32, micros, 1, store.require_status().master_id), [])
    (finding,) = found(mfn.home, "old-backup", automatic=True)
    assert finding.severity is Severity.WARNING
    assert "31 days" in finding.advice
    mfn.ok("backup", "keys.mfb")
    assert found(mfn.home, "old-backup", automatic=True) == []


def test_the_doctor_warns_of_credentials_that_wait(mfn: Mfn, elsewhere: Mfn) -> None:
    """Until they are confirmed or revoked."""
    ids = [
        mfn.ok("credential", "create", name, "--scope", "*", "--json").json["id"]
        for name in ("one", "two")
    ]
    mfn.ok("backup", "keys.mfb")
    elsewhere.ok("restore", "keys.mfb")
    (finding,) = found(elsewhere.home, "unconfirmed")
    assert (finding.severity, finding.subject) == (Severity.WARNING, "2 credentials")
    elsewhere.ok("credential", "confirm", ids[0])
    assert found(elsewhere.home, "unconfirmed")[0].subject == "1 credential"
    elsewhere.ok("credential", "revoke", ids[1])
    assert found(elsewhere.home, "unconfirmed") == []


def test_the_library_makes_and_records_a_backup(mfn: Mfn) -> None:
    """The names that docs/backup.md gives."""
    mfn.ok("backup", "keys.mfb")
    with (
        open_keyring(home=mfn.home) as keyring,
        (mfn.folder / "keys.mfb").open("rb") as reader,
    ):
        provider = keyring.provider
        backup = verify_backup(provider.wrapping, provider.policy, reader)
        assert record_backup(provider, backup) == []


def test_a_backup_that_cannot_be_recorded_says_that_it_is_whole(
    mfn: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is of the failure; the file is kept, and recorded by what is advised."""

    def fail(*_: object) -> list[str]:
        raise AuditUnavailableError("the audit record cannot be written")

    with monkeypatch.context() as patched:
        patched.setattr("mycelium_fractal_net.security.backup.record_backup", fail)
        ran = mfn("backup", "kept")
    assert ran.code == ExitCode.STORE
    assert "kept is whole and not recorded: mfn backup --verify --record kept" in ran.err
    assert "whole" in mfn.ok("backup", "--verify", "--record", "kept").out
