"""``mfn audit`` from the outside, and the records that commands leave."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.cli import recording
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.byte_io.binary_io import head_of
from mycelium_fractal_net.security.errors import AuditUnavailableError, ExitCode
from tests.support.cli import Mfn, environment, one_line, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.keyring.keyring import Keyring

ROOT = Path(__file__).parents[2]
ME = f"cli:{os.getuid()}"


def show(mfn: Mfn, *arguments: str) -> list[dict[str, Any]]:
    """What ``mfn audit show`` finds, newest first."""
    ran = mfn.ok("audit", "show", "--json", "--limit", "1000", *arguments)
    return ran.json  # type: ignore[no-any-return]


def uses(mfn: Mfn) -> list[dict[str, Any]]:
    """The records of commands that use a key, oldest first: what they say beside where and when."""
    where = ("chain", "sequence", "time")
    return [
        {name: value for name, value in each.items() if name not in where}
        for each in reversed(show(mfn, "--actor", ME))
        if "." not in each["event"]
    ]


def segment(mfn: Mfn) -> Path:
    """The one segment of the store's one chain."""
    (found,) = (mfn.home / "audit").glob("*/*.jsonl")
    return found


@pytest.fixture
def files(mfn: Mfn) -> Mfn:
    """A file ``plain``, sealed and signed before there was anything to be recorded."""
    (mfn.folder / "plain").write_bytes(b"hello\n")
    with open_keyring(home=mfn.home) as keyring:
        sealed = keyring.encrypt(b"hello\n", key_id="orders")
        with (mfn.folder / "plain").open("rb") as reader:
            (mfn.folder / "plain.sig").write_bytes(keyring.sign_file(reader, key_id="release"))
    (mfn.folder / "sealed.mfn").write_bytes(sealed)
    return mfn


# What commands record ---------------------------------------------------------------------

COMMANDS = [
    (("encrypt", "plain", "-k", "orders"), "encrypt", "orders:v1"),
    (("encrypt", "plain", "-o", "out"), "encrypt", "default-encryption:v1"),
    (("decrypt", "sealed.mfn"), "decrypt", "orders:v1"),
    (("decrypt", "sealed.mfn", "-o", "-"), "decrypt", "orders:v1"),
    (("rewrap", "sealed.mfn"), "rewrap", "orders:v1"),
    (("rewrap", "sealed.mfn", "-o", "out"), "rewrap", "orders:v1"),
    (("sign", "plain", "-k", "release", "-o", "out"), "sign", "release:v1"),
    (("sign", "plain", "-o", "out"), "sign", "default-signing:v1"),
    (("verify", "plain", "plain.sig", "-k", "release"), "verify", "release"),
]


@pytest.mark.parametrize(("command", "event", "key"), COMMANDS)
def test_a_command_that_uses_a_key_is_one_record(
    files: Mfn, command: tuple[str, ...], event: str, key: str
) -> None:
    """That it was begun, by whom, with which key and on how many files."""
    files.ok(*command)
    assert uses(files) == [
        {"event": event, "outcome": "begun", "key": key, "actor": ME, "count": 1}
    ]


@pytest.mark.parametrize("command", [command for command, _, _ in COMMANDS])
def test_without_a_record_nothing_is_done(files: Mfn, command: tuple[str, ...]) -> None:
    """Where it cannot be written the command fails, before its work."""
    shutil.rmtree(files.home / "audit")
    (files.home / "audit").write_text("in the way")
    before = snapshot(files.folder)
    ran = files(*command)
    assert "nothing was done" in one_line(ran, ExitCode.STORE)
    assert (snapshot(files.folder), ran.raw) == (before, b"")


@pytest.mark.parametrize("verb", ["encrypt", "decrypt", "rewrap"])
def test_without_a_record_nothing_is_done_to_a_folder(files: Mfn, verb: str) -> None:
    """As for one file; a change of a key is none either."""
    shutil.rmtree(files.home / "audit")
    (files.home / "audit").write_text("in the way")
    (files.folder / "in").mkdir()
    shutil.copy("sealed.mfn", "in")
    before = snapshot(files.folder)
    output = () if verb == "rewrap" else ("-o", "out")
    one_line(files(verb, "-r", "in", *output), ExitCode.STORE)
    one_line(files("key", "rotate", "orders"), ExitCode.STORE)
    assert snapshot(files.folder) == before
    assert [each["primary"] for each in files.ok("key", "list", "--json").json][-2:] == [
        "orders:v1",
        "release:v1",
    ]


def test_a_command_is_recorded_before_it_fails(files: Mfn) -> None:
    """The record does not wait for how it ends."""
    one_line(files("decrypt", "sealed.mfn", "-a", "wrong"), ExitCode.NOT_AUTHENTIC)
    (files.folder / "junk.mfn").write_bytes(b"no message")
    one_line(files("decrypt", "junk.mfn"), ExitCode.NOT_AUTHENTIC)
    assert [(each["event"], each.get("key")) for each in uses(files)] == [
        ("decrypt", "orders:v1"),
        ("decrypt", None),
    ]


@pytest.mark.parametrize("verb", ["decrypt", "rewrap"])
def test_a_stream_is_recorded_with_the_key_that_it_begins_with(files: Mfn, verb: str) -> None:
    """What is read for that is worked on all the same; a message of any length."""
    message = (files.folder / "sealed.mfn").read_bytes()
    ran = files.fed(verb, "-", input=message)
    assert ran.code == ExitCode.OK
    if verb == "decrypt":
        assert ran.raw == b"hello\n"
    assert uses(files)[0]["key"] == "orders:v1"
    with (files.folder / "large").open("wb") as file, open_keyring(home=files.home) as keyring:
        file.write(keyring.encrypt(bytes(300_000)))
    done = files.fed("decrypt", "-", input=(files.folder / "large").read_bytes())
    assert done.raw == bytes(300_000)


def test_a_folder_is_one_record_with_the_count_of_its_files(files: Mfn) -> None:
    """Links do not count, nor what has another ending; one key is named as for one file."""
    for name in ("in/a", "in/b", "in/deep/c"):
        (files.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (files.folder / name).write_bytes(b"x")
    (files.folder / "in" / "link").symlink_to("a")
    files.ok("encrypt", "-r", "in", "-o", "sealed", "-k", "orders")
    (files.folder / "sealed" / "readme").write_text("passed over")
    files.ok("rewrap", "-r", "sealed")
    files.ok("decrypt", "-r", "sealed", "-o", "back")
    assert [(each["event"], each["key"], each["count"]) for each in uses(files)] == [
        ("encrypt", "orders:v1", 3),
        ("rewrap", "orders:v1", 3),
        ("decrypt", "orders:v1", 3),
    ]


def test_a_folder_of_several_keys_names_them_all(files: Mfn) -> None:
    """What names no key is counted as well; each key finds the record."""
    files.ok("key", "rotate", "orders")
    (files.folder / "in").mkdir()
    shutil.copy("sealed.mfn", "in/a.mfn")
    shutil.copy("sealed.mfn", "in/b.mfn")
    files.ok("encrypt", "plain", "-k", "orders", "-o", "in/c.mfn")
    (files.folder / "in" / "junk.mfn").write_bytes(b"no message")
    assert files("decrypt", "-r", "in", "-o", "out").code == ExitCode.PARTIAL
    (record,) = show(files, "--event", "decrypt", "--key", "orders:v2")
    assert (record["count"], "key" in record) == (4, False)
    assert record["items"] == {
        "orders:v1": {"begun": 2},
        "orders:v2": {"begun": 1},
        "-": {"begun": 1},
    }


def test_a_record_has_so_many_versions(files: Mfn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a folder holds, a record stays small; all of its files are counted."""
    monkeypatch.setattr(recording, "_MOST_VERSIONS", 1)
    with open_keyring(home=files.home) as keyring:
        heads = [keyring.encrypt(b"", key_id="orders")] * 2 + [keyring.encrypt(b"")]
        recording.record_opening(keyring, "decrypt", heads)
    (record,) = show(files, "--event", "decrypt")
    assert (record["count"], record["items"]) == (
        3,
        {"orders:v1": {"begun": 2}, "-": {"begun": 1}},
    )


def test_an_empty_folder_is_recorded_too(files: Mfn) -> None:
    """With a count of none."""
    (files.folder / "in").mkdir()
    files.ok("decrypt", "-r", "in", "-o", "out")
    assert uses(files) == [{"event": "decrypt", "outcome": "begun", "actor": ME, "count": 0}]


def test_a_file_that_cannot_be_read_has_no_beginning(tmp_path: Path) -> None:
    """Whether it opens is for the work to say."""
    assert head_of(tmp_path) == head_of(tmp_path / "absent") == b""


def test_a_keyring_without_an_audit_log_does_nothing(files: Mfn) -> None:
    """There is no use of the command line that is not recorded."""
    with open_keyring(home=files.home) as keyring:
        keyring.provider.audit = None
        with pytest.raises(AuditUnavailableError):
            recording.record_sealing(keyring, "orders")


def test_looking_leaves_no_record(files: Mfn) -> None:
    """Lists, heads of files, and public keys use no secret; what was verified is no record."""
    files.ok("audit", "verify")
    before = snapshot(files.home / "audit")
    (files.folder / "key.pem").write_text(files.ok("key", "public", "release").out)
    for command in (
        ("key", "list"), ("key", "show", "orders"), ("inspect", "sealed.mfn"), ("version",),
        ("credential", "list"), ("audit", "verify"), ("audit", "head"), ("audit", "show"),
        ("verify", "plain", "plain.sig", "--public-key", "key.pem"),
    ):  # fmt: skip
        files.ok(*command)
    files("doctor")
    assert snapshot(files.home / "audit") == before


def test_changes_name_the_user_who_made_them(empty: Mfn) -> None:
    """Of keys, credentials and the master key, the first ones included."""
    empty.ok("init")
    empty.ok("key", "create", "orders")
    made = empty.ok("credential", "create", "billing", "--scope", "*", "--json").json
    empty.ok("master", "rotate")
    changes = [each for each in show(empty) if each["actor"] != "system"]
    assert {each["actor"] for each in changes} == {ME}
    assert {each["event"] for each in changes} == {
        "key.create", "credential.create", "master.rotate",
    }  # fmt: skip
    (done, intent) = show(empty, "--event", "credential")
    assert (intent["outcome"], done["outcome"]) == ("intent", "ok")
    assert done["intent"] == intent["sequence"]
    assert done["subject"] == made["id"]


def test_a_command_is_one_record_and_keeps_its_output_whatever_the_settings(files: Mfn) -> None:
    """``audit.uses`` is for programs; records do not get between the bytes of a plaintext."""
    settings = {"audit": {"uses": True, "export": "stdout"}}
    (files.folder / "mfn.json").write_text(json.dumps(settings))
    ran = files.process("--config", "mfn.json", "decrypt", "sealed.mfn", "-o", "-")
    assert (ran.code, ran.raw) == (ExitCode.OK, b"hello\n")
    assert len(uses(files)) == 1


# verify -----------------------------------------------------------------------------------


def test_whole_records_verify(files: Mfn) -> None:
    """Also beside a process that holds a chain and writes; nothing is written by it."""
    files.ok("encrypt", "plain")
    said = files.ok("audit", "verify").out
    assert re.search(
        r"^chain [0-9a-f]{32}: \d+ records, 0 of them past the anchor$", said, re.MULTILINE
    )
    assert re.search(r"^whole: 1 chain, \d+ records$", said, re.MULTILINE)
    assert files.ok("--quiet", "audit", "verify").out == ""
    with open_keyring(home=files.home) as keyring:
        keyring.provider.get_key("orders")
        before = snapshot(files.home / "audit")
        report = files.ok("audit", "verify", "--json").json
        assert snapshot(files.home / "audit") == before
    (chain,) = report["chains"]
    assert list(report) == ["whole", "records", "chains", "faults", "elsewhere", "before_restore"]
    members = ["chain", "begins", "records", "past_anchor", "ended", "torn_bytes", "faults"]
    assert list(chain) == members
    assert report["whole"] is True
    assert (report["records"], chain["begins"], report["elsewhere"]) == (chain["records"], 1, [])


Lines = list[bytes]


def _edit(lines: Lines) -> Lines:
    return [*lines[:2], lines[2].replace(b"key.create", b"key.rotate"), *lines[3:]]


def _delete(lines: Lines) -> Lines:
    return lines[:2] + lines[3:]


def _move(lines: Lines) -> Lines:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


def _cut(lines: Lines) -> Lines:
    return lines[:3]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_edit, "record 3: edited"),
        (_delete, "record 3: deleted"),
        (_move, "record 3: reordered"),
        (_cut, "record 4: cut"),
    ],
)
def test_what_was_done_to_the_records_is_told(
    mfn: Mfn, change: Callable[[Lines], Lines], told: str
) -> None:
    """With chain, record and kind; exit code 8. From ``head`` where what it would keep is gone."""
    path = segment(mfn)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    ran = mfn("audit", "verify")
    assert ran.code == ExitCode.NOT_AUTHENTIC
    assert f"mfn: chain {path.parent.name}: {told}" in ran.err
    assert ran.err.endswith("keep the folder as it is for whoever looks\n")
    assert "whole:" not in ran.out
    shaped = mfn("audit", "verify", "--json")
    assert (shaped.code, shaped.json["whole"]) == (ExitCode.NOT_AUTHENTIC, False)
    (fault,) = shaped.json["chains"][0]["faults"]
    assert f"record {fault['record']}: {fault['what']}".startswith(told)
    kept = mfn("audit", "head")
    if change is _cut:
        assert (kept.code, kept.out) == (ExitCode.NOT_AUTHENTIC, "")
        assert "the record that the store was told of is not there" in kept.err
    else:
        assert (kept.code, kept.err) == (0, "")


def test_records_that_were_thrown_away_are_missed(files: Mfn) -> None:
    """All of them, also once new ones are there and nobody knows the folder any more."""
    chain = segment(files).parent.name
    shutil.rmtree(files.home / "audit")
    for _ in range(2):
        ran = files("audit", "verify")
        assert ran.code == ExitCode.NOT_AUTHENTIC
        assert f"mfn: chain {chain}: the whole chain is missing" in ran.err
        files.ok("encrypt", "plain", "--force")


def test_records_that_were_moved_are_read_where_they_are_named(files: Mfn) -> None:
    """By doctor too, to which a setting that changed is no tampering then."""
    files.ok("encrypt", "plain")
    moved = files.home / "moved"
    (files.home / "audit").rename(moved)
    assert files("doctor").code == ExitCode.DOCTOR_CRITICAL
    ran = files("doctor", "--also", moved)
    assert ran.code < ExitCode.DOCTOR_CRITICAL, ran.out
    assert "audit" not in ran.out


def test_a_fault_that_is_known_is_told_and_stops_nobody(mfn: Mfn) -> None:
    """The chain of a record that was edited, once somebody has looked into it."""
    path = segment(mfn)
    path.write_bytes(b"".join(_edit(path.read_bytes().splitlines(keepends=True))))
    assert mfn("audit", "acknowledge").code == ExitCode.USAGE
    assert mfn.ok("audit", "acknowledge", "--reason", "x", "0" * 32).out.startswith("there is no")
    said = mfn.ok("audit", "acknowledge", "--reason", "a test", path.parent.name).out
    assert f"acknowledged: chain {path.parent.name}: record 3: edited" in said
    verified = mfn.ok("audit", "verify")
    assert "acknowledged: chain" in verified.out
    assert "whole but for 1 fault that somebody knows of: 1 chain" in verified.out
    (fault,) = [
        fault
        for chain in mfn.ok("audit", "verify", "--json").json["chains"]
        for fault in chain["faults"]
    ]
    known = fault["acknowledged"]
    assert (known["actor"], known["reason"]) == (f"cli:{os.getuid()}", "a test")
    (record,) = mfn.ok("audit", "show", "--event", "audit.acknowledge", "--json").json
    assert (record["subject"], record["reason"]) == (path.parent.name, "a test")
    ran = mfn("doctor")
    assert ran.code < ExitCode.DOCTOR_CRITICAL, ran.out
    assert "notice: audit chain" in ran.out
    assert ": a test [audit-acknowledged]" in ran.out


def test_chains_of_other_machines_are_counted_where_a_store_is_shared(
    empty: Mfn, postgres_url: str
) -> None:
    """They are verified where they are."""
    shared = ("--store", postgres_url)
    empty.ok(*shared, "init")
    shutil.move(empty.home / "audit", empty.home / "of-another-machine")
    assert "whole: 0 chains" in empty.ok(*shared, "audit", "verify").out
    empty.ok(*shared, "key", "create", "orders")
    said = empty.ok(*shared, "audit", "verify").out
    assert "1 chain of other machines: verify them there" in said
    assert "whole: 1 chain, 3 records" in said


def test_records_past_the_anchor_and_a_torn_end_are_told_and_no_fault(mfn: Mfn) -> None:
    """A process that was killed leaves them."""
    code = (
        "import os, sys; from mycelium_fractal_net import open_keyring;"
        "k = open_keyring(home=sys.argv[1]); k.provider.get_key('orders'); os._exit(0)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(mfn.home)], env=environment(), check=True, cwd=mfn.folder
    )
    with segment(mfn).open("ab") as file:
        file.write(b'{"sequence":12,"ti')
    said = mfn.ok("audit", "verify").out
    assert "2 of them past the anchor; 18 torn bytes at its end, which a crash leaves" in said


def test_a_store_that_nothing_was_recorded_for_verifies(mfn: Mfn) -> None:
    """No key is made for that; but records whose key is gone are no such store."""
    import sqlite3

    def forget(*tables: str) -> None:
        with contextlib.closing(sqlite3.connect(mfn.home / "keys.db")) as connection, connection:
            for table in tables:
                connection.execute(f"DELETE FROM {table}")

    forget("mfn_audit_keys", "mfn_audit_chains")
    one_line(mfn("audit", "verify"), ExitCode.STORE)
    shutil.rmtree(mfn.home / "audit")
    said = one_line(mfn("key", "rotate", "orders"), ExitCode.STORE)
    assert "the store counts audit records, and their key is gone" in said
    forget("mfn_audit_count")
    assert mfn.ok("audit", "verify").out == "whole: 0 chains, 0 records\n"
    mfn.ok("key", "rotate", "orders")  # makes another key, and a chain that the store knows
    assert "whole: 1 chain" in mfn.ok("audit", "verify").out
    forget("mfn_audit_keys", "mfn_audit_chains", "mfn_audit_count")
    with open_keyring(home=mfn.home) as keyring:
        keyring.provider.audit_keys.mac()
    ran = mfn("audit", "verify")
    assert ran.code == ExitCode.NOT_AUTHENTIC
    assert "the store does not know this chain" in ran.err


@pytest.mark.parametrize("command", ["verify", "show"])
def test_records_that_cannot_be_read_are_said_so(mfn: Mfn, command: str) -> None:
    """Exit code 4 and the path: that is no tampering."""
    path = segment(mfn)
    path.unlink()
    path.mkdir()
    assert str(path) in one_line(mfn("audit", command), ExitCode.INPUT)


# head -------------------------------------------------------------------------------------


def test_heads_find_what_was_put_back_together(files: Mfn) -> None:
    """Store and records as they were yesterday agree; the head of today does not."""
    shutil.copytree(files.home, files.folder / "yesterday")
    files.ok("encrypt", "plain")
    (files.folder / "heads").write_text(files.ok("audit", "head").out)
    (files.folder / "array").write_text(files.ok("audit", "head", "--json").out)
    for name in ("heads", "array"):
        files.ok("audit", "verify", "--head", name)
    shutil.rmtree(files.home)
    shutil.copytree(files.folder / "yesterday", files.home)
    files.ok("audit", "verify")
    for name in ("heads", "array"):
        ran = files("audit", "verify", "--head", name)
        assert ran.code == ExitCode.NOT_AUTHENTIC
        assert ": cut: the records up to" in ran.err


def test_a_head_is_a_line_of_json(mfn: Mfn) -> None:
    """Chain, sequence and MAC of its last record, as its last line has them."""
    (line,) = mfn.ok("audit", "head").out.splitlines()
    last = json.loads(segment(mfn).read_bytes().splitlines()[-1])
    assert json.loads(line) == {
        "chain": segment(mfn).parent.name, "sequence": last["sequence"], "mac": last["mac"],
    }  # fmt: skip
    assert mfn.ok("audit", "head", "--json").json == [json.loads(line)]


CHAIN, MAC = "0" * 32, "1" * 64


@pytest.mark.parametrize(
    "content",
    [
        "no json", "[", "7", "[7]", "{}", '{"chain":"x"}', "\xff",
        json.dumps({"chain": CHAIN, "sequence": "1", "mac": MAC}),
        json.dumps({"chain": CHAIN, "sequence": True, "mac": MAC}),
        json.dumps({"chain": CHAIN, "sequence": 0, "mac": MAC}),
        json.dumps({"chain": CHAIN, "sequence": 1, "mac": MAC[1:]}),
        json.dumps({"chain": "../" + CHAIN, "sequence": 1, "mac": MAC}),
        json.dumps({"chain": 7, "sequence": 1, "mac": MAC}),
        "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_head_is_refused(mfn: Mfn, content: str) -> None:
    """Nothing passes because it was not understood."""
    (mfn.folder / "heads").write_text(content, encoding="latin-1")
    assert "no head" in one_line(mfn("audit", "verify", "--head", "heads"), ExitCode.USAGE)


# Old records ------------------------------------------------------------------------------


@pytest.fixture
def long(mfn: Mfn) -> Mfn:
    """A store whose chain has several segments."""
    (mfn.folder / "mfn.json").write_text(json.dumps({"audit": {"segment_bytes": 65_536}}))
    settings = load_settings(mfn.folder / "mfn.json", home=mfn.home)
    with open_keyring(settings=settings) as keyring:
        fill(keyring)
    assert len(list((mfn.home / "audit").glob("*/*.jsonl"))) >= 3
    return mfn


def fill(keyring: Keyring) -> None:
    log = keyring.provider.audit
    assert log is not None
    for _ in range(10):
        for _ in range(99):
            log.append(Event("encrypt", "ok", key="orders:v1", actor="library"))
        log.record(Event("encrypt", "ok", key="orders:v1", actor="library"))


def test_segments_that_were_moved_away_are_read_as_well(long: Mfn) -> None:
    """Without them their records are missing; a copy in both places is none too many."""
    whole = long.ok("audit", "verify").out
    oldest = min((long.home / "audit").glob("*/*.jsonl"))
    archive = long.folder / "archive" / oldest.parent.name
    archive.mkdir(parents=True)
    shutil.copy(oldest, archive)
    assert long.ok("audit", "verify", "--also", "archive").out == whole
    oldest.unlink()
    ran = long("audit", "verify")
    assert ran.code == ExitCode.NOT_AUTHENTIC
    assert "record 1: deleted, and all up to" in ran.err
    assert long.ok("audit", "verify", "--also", "archive").out == whole
    one_line(long("audit", "verify", "--also", "nowhere"), ExitCode.INPUT)


def test_a_chain_may_begin_after_a_head_that_was_kept(long: Mfn) -> None:
    """Of the last record of what was moved away, as docs/audit.md says to keep it."""
    oldest = min((long.home / "audit").glob("*/*.jsonl"))
    last = json.loads(oldest.read_bytes().splitlines()[-1])
    head = {"chain": oldest.parent.name, "sequence": last["sequence"], "mac": last["mac"]}
    (long.folder / "heads").write_text(json.dumps(head) + "\n\n")
    oldest.unlink()
    begins = last["sequence"] + 1
    said = long.ok("audit", "verify", "--head", "heads").out
    assert f"; begins with record {begins}, after a head that was kept" in said
    shape = long.ok("audit", "verify", "--head", "heads", "--json").json
    assert shape["chains"][0]["begins"] == begins
    (long.folder / "heads").write_text(json.dumps({**head, "mac": MAC}))
    assert long("audit", "verify", "--head", "heads").code == ExitCode.NOT_AUTHENTIC


# show -------------------------------------------------------------------------------------


def test_records_are_shown_by_key_actor_event_and_time(files: Mfn) -> None:
    """All that is given must hold; newest first, at most so many."""
    files.ok("encrypt", "plain", "-k", "orders")
    files.ok("sign", "plain", "-k", "release", "--force")
    every = show(files)
    assert [each["sequence"] for each in every] == list(range(len(every), 0, -1))
    assert {each["event"] for each in show(files, "--key", "orders")} == {"key.create", "encrypt"}
    assert len(show(files, "--event", "key")) == len(show(files, "--event", "key.create")) > 0
    assert {each["actor"] for each in show(files, "--actor", "library")} == {"library"}
    moment = show(files, "--event", "encrypt")[0]["time"]
    assert show(files, "--since", moment) + show(files, "--until", moment)[1:] == every
    assert len(files.ok("audit", "show", "--limit", "2", "--json").json) == 2


def test_records_are_shown_as_a_table(files: Mfn) -> None:
    """What people look for in columns, and the rest behind."""
    files.ok("encrypt", "plain", "-k", "orders")
    head, first, *_ = files.ok("audit", "show").out.splitlines()
    assert head.split() == ["TIME", "EVENT", "OUTCOME", "KEY", "ACTOR", "MORE"]
    assert first.split()[1:] == ["encrypt", "begun", "orders:v1", ME, "count=1"]
    made = files.ok("credential", "create", "billing", "--scope", "*", "--json").json
    first = files.ok("audit", "show").out.splitlines()[1]
    assert first.split()[1:5] == ["credential.create", "ok", "-", ME]
    assert f"subject={made['id']}" in first


@pytest.mark.parametrize("moment", ["yesterday", "2026-03-01", "2026-03-01T12:00:00+01:00", ""])
@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_time_in_another_form_is_a_wrong_command(mfn: Mfn, option: str, moment: str) -> None:
    """Text that does not sort as a time would hide records."""
    assert "UTC" in one_line(mfn("audit", "show", option, moment), ExitCode.USAGE)


def test_where_there_are_no_records_none_are_shown(empty: Mfn) -> None:
    """A folder that is not there is an empty one."""
    assert show(empty) == []


# The document -----------------------------------------------------------------------------


def test_the_verifier_of_the_document_agrees(long: Mfn) -> None:
    """A stranger who has the key can check a chain with what is written there."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/audit.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    with open_keyring(home=long.home) as keyring:
        provider = keyring.provider
        stored = provider.store.audit_key()
        assert stored is not None
        store_id, key = provider.store_id, provider.audit_keys.unwrapped(stored)
    first = min((long.home / "audit").glob("*/*.jsonl"))
    records = long.ok("audit", "verify", "--json").json["records"]
    assert names["verify_chain"](first.parent, store_id, key) == records
    first.write_bytes(first.read_bytes().replace(b"key.create", b"key.rotate", 1))
    with pytest.raises(ValueError, match="record 2"):
        names["verify_chain"](first.parent, store_id, key)


def test_a_store_that_is_made_prints_no_records_either(
    empty: Mfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a command prints is its outcome, and nothing under ``--quiet``."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"audit": {"export": "stdout"}}))
    monkeypatch.setenv("MFN_CONFIG", str(file))
    assert empty.ok("init", "-q").out == ""
    assert empty.ok("backup", "kept", "-q").out == ""
    for name in ("keys.db", "keys.db-wal", "keys.db-shm"):
        (empty.home / name).unlink(missing_ok=True)
    assert empty.ok("restore", "kept", "-q").out == ""
