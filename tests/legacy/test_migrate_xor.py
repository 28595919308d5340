"""``mfn migrate-xor`` and ``mfn key import-xor``: files out of the XOR cipher, and back."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.legacy.files import commit_xor, migrate_xor, roll_back_xor
from mycelium_fractal_net.legacy.xor_format import XorFormat, open_xor
from mycelium_fractal_net.security.errors import KeyStateError
from mycelium_fractal_net.security.records.keys import Verb
from tests.support.cli import Mfn, environment, one_line, snapshot
from tests.support.legacy_xor import OLD_KEY, write_xor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.records.open_options import OpenOptions

OLD = ".xor-old"


@pytest.fixture
def migrating(mfn: Mfn) -> Mfn:
    """``mfn`` with the key of the old cipher."""
    key = mfn.folder.parent / "old.key"
    key.write_text(OLD_KEY.hex())
    key.chmod(0o600)
    mfn.ok("key", "import-xor", key)
    return mfn


@pytest.fixture
def keyring(migrating: Mfn) -> Iterator[Keyring]:
    """The keyring over the same store."""
    with open_keyring(home=migrating.home) as opened:
        yield opened


@pytest.fixture
def letters(folder: Path) -> Path:
    """A folder of three old messages, in two folders."""
    place = folder / "letters"
    (place / "in").mkdir(parents=True)
    (place / "a").write_text(write_xor("first"))
    (place / "in" / "b").write_text(write_xor("second") + "\n")
    (place / "in" / "c").write_text(write_xor("") + "\r\n")
    return place


def contents(keyring: Keyring, folder: Path) -> dict[str, bytes]:
    """What every file of a folder holds, sealed or old, without what is kept."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith(OLD):
            content = path.read_bytes()
            sealed = content.startswith(b"MFN\x01")
            data = keyring.decrypt(content) if sealed else open_xor(keyring, content.strip()).data
            found[str(path.relative_to(folder))] = data
    return found


LETTERS = {"a": b"first", "in/b": b"second", "in/c": b""}


# The key --------------------------------------------------------------------------------------


def test_the_old_key_is_imported_once(mfn: Mfn, folder: Path) -> None:
    """From a private file; and it is shown as what it is."""
    key = folder / "old.key"
    assert "check the path" in one_line(mfn("key", "import-xor", key), 10)
    key.write_bytes(OLD_KEY)
    key.chmod(0o644)
    assert "chmod 0600" in one_line(mfn("key", "import-xor", key), 10)
    key.chmod(0o600)
    assert "legacy-xor" in mfn.ok("key", "import-xor", key).out
    assert "imported once" in one_line(mfn("key", "import-xor", key), 5)
    shown = mfn.ok("key", "show", "legacy-xor", "--json").json
    assert (shown["algorithm"], shown["primary"]) == ("LEGACY-XOR", None)
    assert "rotation" not in mfn.ok("key", "show", "legacy-xor").out
    (row,) = [each for each in mfn.ok("key", "list").out.splitlines() if "legacy-xor" in each]
    assert row.split()[-2:] == ["deactivated", "-"]
    assert "no next version" in one_line(mfn("key", "rotate", "legacy-xor"), 9)
    key.write_bytes(b"short")
    assert "32 bytes" in one_line(mfn("key", "import-xor", key), 2)


def test_without_the_key_nothing_is_migrated(mfn: Mfn, letters: Path) -> None:
    """And the line says how to get it."""
    before = snapshot(letters)
    assert "mfn key import-xor FILE" in one_line(mfn("migrate-xor", letters), 7)
    assert "mfn key import-xor FILE" in one_line(mfn("migrate-xor", letters, "--rollback"), 7)
    assert snapshot(letters) == before


def test_no_command_but_a_migration_loads_what_opens_old_messages(
    migrating: Mfn, letters: Path
) -> None:
    """Not even one that shows the key or looks everything over."""
    program = (
        "import sys; from mycelium_fractal_net.cli import main;"
        "code = main(sys.argv[1:]);"
        "print('mycelium_fractal_net.legacy.cipher' in sys.modules, file=sys.stderr);"
        "sys.exit(code)"
    )

    def loads(*arguments: str | Path) -> bool:
        done = subprocess.run(
            [sys.executable, "-c", program, "--home", migrating.home, *arguments],
            capture_output=True, text=True, env=environment(), cwd=letters, check=False,
        )  # fmt: skip
        return done.stderr.splitlines()[-1] == "True"

    assert not loads("encrypt", "a", "-k", "orders")
    assert not loads("decrypt", "a.mfn", "--force")
    assert not loads("doctor")
    assert not loads("key", "show", "legacy-xor")
    assert not loads("rotation", "run", "--once")
    assert loads("migrate-xor", "a", "--dry-run")


def test_in_fips_mode_nothing_is_imported_or_migrated(mfn: Mfn, letters: Path) -> None:
    """The configuration is refused before a file is read."""
    config = mfn.folder / "fips.json"
    config.write_text('{"security": {"fips_mode": true}}')
    before = snapshot(letters)
    key = mfn.folder / "old.key"
    key.write_bytes(OLD_KEY)
    key.chmod(0o600)
    one_line(mfn("--config", config, "key", "import-xor", key), 3)
    one_line(mfn("--config", config, "migrate-xor", letters), 3)
    config.write_text('{"security": {"fips_mode": true}, "legacy": {"read_xor": true}}')
    one_line(mfn("--config", config, "key", "list"), 3)
    assert snapshot(letters) == before


# There ----------------------------------------------------------------------------------------


def test_a_folder_is_migrated_and_committed(
    migrating: Mfn, keyring: Keyring, letters: Path
) -> None:
    """The old messages stay beside the new ones until the commit."""
    before = snapshot(letters)
    said = migrating.ok("migrate-xor", letters, "--key", "orders").out
    assert said.startswith("migrated 3 files")
    after = snapshot(letters)
    assert {name.removesuffix(OLD): c for name, c in after.items() if OLD in name} == before
    assert contents(keyring, letters) == LETTERS
    assert keyring.describe(after["a"]).key_id == "orders"
    assert "3 done before" in migrating.ok("migrate-xor", letters).out
    assert migrating.ok("migrate-xor", letters, "--commit").out.startswith("committed 3 files")
    assert snapshot(letters) == {name: c for name, c in after.items() if OLD not in name}


def test_a_dry_run_opens_everything_and_changes_nothing(migrating: Mfn, letters: Path) -> None:
    """Not even a time."""
    (letters / "other").write_text("no message")
    before = {path: path.stat() for path in letters.rglob("*")}
    ran = migrating("migrate-xor", letters, "--dry-run")
    assert ran.code == 11
    assert ran.out == "opened 3 files (11 B); nothing was changed\n"
    assert "other: is no message of the XOR cipher, or one of another key" in ran.err
    now = {path: path.stat() for path in letters.rglob("*")}
    assert {p: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for p, s in now.items()} == {
        p: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for p, s in before.items()
    }
    assert not (migrating.home / "xor-kept.json").exists()


def test_mode_owner_and_times_stay(migrating: Mfn, letters: Path) -> None:
    """Of the new file, and of the old one under its other name."""
    path = letters / "a"
    path.chmod(0o640)
    os.utime(path, ns=(10**18, 10**18))
    if os.geteuid() == 0:
        os.chown(path, 1234, 1234)
    before = path.stat()
    migrating.ok("migrate-xor", letters)
    for now in (path.stat(), path.with_name(f"a{OLD}").stat()):
        assert (now.st_mode, now.st_uid, now.st_gid, now.st_mtime_ns) == (
            before.st_mode, before.st_uid, before.st_gid, before.st_mtime_ns,
        )  # fmt: skip


def test_single_files_and_links_to_them_are_migrated(
    migrating: Mfn, keyring: Keyring, letters: Path
) -> None:
    """What was named itself is followed; what is found in a folder is not."""
    link = letters.parent / "link"
    link.symlink_to(letters / "a")
    (letters / "in" / "inner").symlink_to(letters / "a")
    ran = migrating.ok("migrate-xor", link, letters / "in")
    assert "migrated 3 files" in ran.out
    assert "passed over" in ran.out
    assert link.is_symlink()
    assert contents(keyring, letters / "in")["b"] == b"second"
    assert (letters / f"a{OLD}").exists()
    assert "committed 1 file" in migrating.ok("migrate-xor", link, "--commit").out
    assert not (letters / f"a{OLD}").exists()
    kept = letters / "in" / f"b{OLD}"
    assert "rolled back 1 file" in migrating.ok("migrate-xor", kept, "--rollback").out
    assert not kept.exists()


def test_what_could_not_be_moved_is_reported(migrating: Mfn, letters: Path, folder: Path) -> None:
    """As lines on standard error, or as JSON in a file; the others are moved all the same."""
    (letters / "in" / "note").write_text("plain text")
    (letters / "other").write_text(write_xor("x", bytes(32)))
    ran = migrating("migrate-xor", letters, "--report", folder / "left.jsonl")
    assert (ran.code, ran.out.split(" (")[0]) == (11, "migrated 3 files")
    assert ran.err == "mfn: 2 files failed; mend the cause and run the same again\n"
    lines = [json.loads(line) for line in (folder / "left.jsonl").read_text().splitlines()]
    assert {Path(each["path"]).name for each in lines} == {"note", "other"}
    assert {each["reason"] for each in lines} == {
        "is no message of the XOR cipher, or one of another key"
    }


def test_a_key_that_protects_nothing_is_refused_before_anything_is_done(
    migrating: Mfn, keyring: Keyring, letters: Path
) -> None:
    """On the command line and in the library."""
    before = snapshot(letters)
    keyring.provider.states.apply(Verb.SUSPEND, "orders")
    one_line(migrating("migrate-xor", letters, "-k", "orders"), 9)
    one_line(migrating("migrate-xor", letters, "-k", "legacy-xor"), 9)
    one_line(migrating("migrate-xor", letters, "-k", "nobody"), 7)
    keyring.refresh()
    with pytest.raises(KeyStateError):
        migrate_xor(keyring, [letters], key_id="orders")
    assert snapshot(letters) == before


def test_a_compromised_old_key_migrates_when_that_is_allowed(
    migrating: Mfn, keyring: Keyring, letters: Path
) -> None:
    """As everything that opens with one; and rolls back so."""
    before = snapshot(letters)
    migrating.ok("key", "compromise", "legacy-xor")
    ran = migrating("migrate-xor", letters)
    assert (ran.code, snapshot(letters)) == (11, before)
    assert "it is compromised" in ran.err
    migrating.ok("migrate-xor", letters, "--allow-compromised")
    assert len(list(letters.rglob(f"*{OLD}"))) == 3
    assert migrating("migrate-xor", letters, "--rollback").code == 11
    migrating.ok("migrate-xor", letters, "--rollback", "--allow-compromised")
    assert snapshot(letters) == before


def test_an_old_message_whose_text_begins_as_a_sealed_one_is_migrated(
    migrating: Mfn, keyring: Keyring, letters: Path
) -> None:
    """One in 262,144 does by chance."""
    salt = base64.urlsafe_b64decode("MFNA") + bytes(13)
    (letters / "chance").write_text(write_xor("by chance", salt=salt))
    migrating.ok("migrate-xor", letters)
    assert contents(keyring, letters)["chance"] == b"by chance"


# Beside writers -------------------------------------------------------------------------------


def test_a_file_written_to_since_it_was_read_is_left_alone(
    keyring: Keyring, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's content stays, and nothing is kept beside it."""
    path = letters / "a"
    encrypt = keyring.encrypt

    def meanwhile(*arguments: object, **named: object) -> bytes:
        new = path.with_name("new")
        new.write_text(write_xor("newer"))
        new.replace(path)
        return encrypt(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(keyring, "encrypt", meanwhile)
    report = migrate_xor(keyring, [path])
    ((failed, reason),) = report.failed
    assert (failed, "changed meanwhile" in reason) == (str(path), True)
    monkeypatch.undo()
    assert contents(keyring, letters)["a"] == b"newer"
    assert not (letters / f"a{OLD}").exists()


def test_another_run_at_work_on_a_file_is_waited_out(keyring: Keyring, letters: Path) -> None:
    """Two would each take the other's kept file for their own."""
    with (letters / "a").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ((_, reason),) = migrate_xor(keyring, [letters / "a"]).failed
    assert "another run" in reason
    assert migrate_xor(keyring, [letters / "a"]).failed == []


def test_two_runs_at_once_lose_nothing(keyring: Keyring, letters: Path) -> None:
    """Every file is migrated by one of them, and kept."""
    for number in range(12):
        (letters / f"n{number}").write_text(write_xor(f"{number}"))
    runs = [
        threading.Thread(target=migrate_xor, args=(keyring, [letters]), kwargs={"workers": 2})
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert migrate_xor(keyring, [letters]).failed == []
    assert len(list(letters.rglob(f"*{OLD}"))) == 15
    assert len(contents(keyring, letters)) == 15
    assert commit_xor(keyring, [letters]).done == 15


def test_an_old_message_that_is_kept_is_never_replaced(keyring: Keyring, letters: Path) -> None:
    """An application that goes on writing old messages has to be finished first."""
    path = letters / "a"
    migrate_xor(keyring, [path])
    kept = path.with_name(f"a{OLD}").read_bytes()
    path.unlink()
    path.write_text(write_xor("written since"))
    ((_, reason),) = migrate_xor(keyring, [path]).failed
    assert "--commit or --rollback it first" in reason
    assert path.with_name(f"a{OLD}").read_bytes() == kept
    assert open_xor(keyring, path.read_bytes()).data == b"written since"


@pytest.mark.parametrize("renames", [True, False], ids=["renaming", "in place"])
def test_an_application_that_writes_throughout_loses_no_update(
    keyring: Keyring, folder: Path, renames: bool
) -> None:
    """Whoever wrote last, what he wrote is what the file holds, be it sealed by now or not."""
    place = folder / "busy"
    place.mkdir()
    updates = [write_xor(f"update {number}") for number in range(20)]
    last: dict[Path, int] = {}
    ended = threading.Event()

    def write(path: Path, number: int) -> None:
        if renames:
            new = folder / "new"
            new.write_text(updates[number])
            new.replace(path)
        else:
            path.write_text(updates[number])
        last[path] = number

    def application() -> None:
        chance = random.Random(7)
        while not ended.is_set():
            write(place / f"{chance.randrange(8)}", chance.randrange(20))
            time.sleep(chance.uniform(0, 0.01))

    for each in range(8):
        write(place / f"{each}", each)
    writing = threading.Thread(target=application)
    writing.start()
    try:
        migrated = 0
        for _ in range(6):
            migrated += migrate_xor(keyring, [place]).done
            commit_xor(keyring, [place])
    finally:
        ended.set()
        writing.join()
    found = contents(keyring, place)
    assert found == {path.name: b"update %d" % number for path, number in last.items()}
    assert migrated


# For good, and back ---------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut", "old", "gone"])
def test_a_commit_keeps_what_has_no_new_message_that_opens(
    migrating: Mfn, letters: Path, damage: str
) -> None:
    """And removes the others."""
    migrating.ok("migrate-xor", letters)
    path, kept = letters / "a", letters / f"a{OLD}"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "old":
        path.write_bytes(kept.read_bytes())
    else:
        path.unlink()
    ran = migrating("migrate-xor", letters, "--commit")
    assert (ran.code, ran.out.split(" (")[0]) == (11, "committed 2 files")
    assert str(path) in ran.err
    assert [found.name for found in letters.rglob(f"*{OLD}")] == [kept.name]


def test_a_rollback_puts_the_old_messages_back(migrating: Mfn, letters: Path) -> None:
    """As if nothing had been; and it can be migrated again."""
    before = snapshot(letters)
    migrating.ok("migrate-xor", letters)
    assert migrating.ok("migrate-xor", letters, "--rollback").out.startswith("rolled back 3 files")
    assert snapshot(letters) == before
    assert "migrated 3 files" in migrating.ok("migrate-xor", letters).out


@pytest.mark.parametrize("since", ["sealed", "plain", "damaged", "gone"])
def test_a_rollback_loses_no_update(keyring: Keyring, letters: Path, since: str) -> None:
    """What an application wrote after the migration stays, and so does the old message."""
    path, kept = letters / "a", letters / f"a{OLD}"
    migrate_xor(keyring, [letters])
    if since == "gone":
        path.unlink()
    else:
        new = {"sealed": keyring.encrypt(b"newer"), "plain": b"newer"}
        path.write_bytes(new.get(since, path.read_bytes()[:-1]))
    before = snapshot(letters)
    report = roll_back_xor(keyring, [letters])
    assert (report.done, [failed for failed, _ in report.failed]) == (2, [str(path)])
    assert snapshot(letters).get("a") == before.get("a")
    assert kept.exists()


def test_a_rollback_minds_a_writer_beside_it(
    keyring: Keyring, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes between the look and the rename."""
    path = letters / "a"
    migrate_xor(keyring, [path])
    opener = keyring.open_old

    def meanwhile(message: bytes, old: XorFormat, options: OpenOptions) -> object:
        path.write_bytes(keyring.encrypt(b"newer"))
        return opener(message, old, options)

    monkeypatch.setattr(keyring, "open_old", meanwhile)
    ((_, reason),) = roll_back_xor(keyring, [path]).failed
    assert "something else by now" in reason
    assert keyring.decrypt(path.read_bytes()) == b"newer"


def test_a_run_killed_before_the_new_file_got_its_name_is_gone_on_with(
    keyring: Keyring, letters: Path
) -> None:
    """The old file then has both names: it is migrated, or rolled back, as if it had one."""
    a, b = letters / "a", letters / "in" / "b"
    for path in (a, b):
        os.link(path, path.with_name(path.name + OLD))
    assert commit_xor(keyring, [a]).failed[0][1].startswith("is not sealed")
    assert roll_back_xor(keyring, [b]).done == 1
    assert not b.with_name(f"b{OLD}").exists()
    assert migrate_xor(keyring, [letters]).done == 3
    assert a.with_name(f"a{OLD}").stat().st_nlink == 1
    assert commit_xor(keyring, [letters]).done == 3


def test_a_rollback_killed_before_the_kept_file_went_is_gone_on_with(
    keyring: Keyring, letters: Path
) -> None:
    """The old message then stands in both places."""
    path, kept = letters / "a", letters / f"a{OLD}"
    before = path.read_bytes()
    migrate_xor(keyring, [letters])
    path.write_bytes(kept.read_bytes())
    assert roll_back_xor(keyring, [letters]).failed == []
    assert (path.read_bytes(), kept.exists()) == (before, False)


def test_a_file_that_grows_while_it_is_read_is_left_alone(
    keyring: Keyring, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a run that was killed had given it its second name, it keeps that."""
    path = letters / "a"
    os.link(path, letters / f"a{OLD}")
    encrypt = keyring.encrypt

    def meanwhile(*arguments: object, **named: object) -> bytes:
        status = path.stat()
        path.write_text(write_xor("other"))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return encrypt(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(keyring, "encrypt", meanwhile)
    ((_, reason),) = migrate_xor(keyring, [path]).failed
    assert "changed meanwhile" in reason
    monkeypatch.undo()
    assert open_xor(keyring, path.read_bytes()).data == b"other"
    assert (letters / f"a{OLD}").samefile(path)


# The command ----------------------------------------------------------------------------------


def test_doctor_names_the_places_where_old_messages_are_kept(migrating: Mfn, letters: Path) -> None:
    """Until all of them are gone."""

    def kept() -> list[str]:
        found = migrating("doctor", "--json").json
        return [each["subject"] for each in found if each["check"] == "xor-kept"]

    assert kept() == []
    migrating.ok("migrate-xor", letters)
    migrating.ok("migrate-xor", letters / "a")
    assert kept() == [str(letters), str(letters / "a")]
    (letters / "a").write_bytes(b"damaged")
    assert migrating("migrate-xor", letters, "--commit").code == 11
    assert kept() == [str(letters), str(letters / "a")]
    (letters / f"a{OLD}").replace(letters / "a")
    migrating.ok("migrate-xor", letters, "--commit")
    assert kept() == []


def test_each_run_is_recorded(migrating: Mfn, letters: Path) -> None:
    """One record each, under the version that seals; before anything is done."""
    migrating.ok("migrate-xor", letters, "-k", "orders")
    migrating.ok("migrate-xor", letters, "--commit")
    records = [
        json.loads(line)
        for path in (migrating.home / "audit").glob("*/*.jsonl")
        for line in path.read_text().splitlines()
    ]
    found = [
        (each["event"], each.get("key"), each["count"])
        for each in sorted(records, key=lambda each: each["time"])
        if each["event"].startswith("xor.")
    ]
    assert found == [("xor.migrate", "orders:v1", 3), ("xor.commit", None, 3)]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--commit", "--rollback", "letters"),
        ("--dry-run", "--commit", "letters"),
        ("letters", "--side-table", "kept"),
        ("letters", "--table", "t"),
        ("letters", "--database", "sqlite:///x", "--table", "t", "--column", "c"),
    ],
)
def test_what_makes_no_sense_is_refused(
    migrating: Mfn, letters: Path, arguments: tuple[str, ...]
) -> None:
    """In one line."""
    one_line(migrating("migrate-xor", *arguments), 2)


def test_a_path_that_cannot_be_read_is_refused(migrating: Mfn) -> None:
    """Before anything is opened."""
    assert "cannot be read" in one_line(migrating("migrate-xor", "nowhere"), 4)


def test_a_file_that_is_too_large_is_left(keyring: Keyring, folder: Path) -> None:
    """A message is opened as a whole, in memory."""
    path = folder / "large"
    with path.open("wb") as file:
        file.truncate((256 << 20) + 1)
    ((_, reason),) = migrate_xor(keyring, [path]).failed
    assert "256 MiB" in reason


def test_what_is_not_read_back_as_it_was_written_replaces_nothing(
    keyring: Keyring, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that lies is found out before the old file goes."""
    before = snapshot(letters)
    monkeypatch.setattr(keyring, "decrypt", lambda _message, **_: b"something else")
    ((_, reason),) = migrate_xor(keyring, [letters / "a"]).failed
    assert "not read back" in reason
    assert snapshot(letters) == before


def test_an_interrupted_run_ends_after_the_files_at_work(keyring: Keyring, letters: Path) -> None:
    """Whole files, and the rest as they were."""
    for number in range(40):
        (letters / f"n{number:02}").write_text(write_xor(f"{number}"))
    seen = 0

    def stop(_: int) -> None:
        nonlocal seen
        seen += 1
        if seen == 5:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        migrate_xor(keyring, [letters], workers=1, progress=stop)
    assert seen == 5
    assert len(contents(keyring, letters)) == 43
    kept = len(list(letters.rglob(f"*{OLD}")))
    assert 5 <= kept < 43
    report = migrate_xor(keyring, [letters])
    assert (report.done, report.skipped) == (43 - kept, kept)


# Columns --------------------------------------------------------------------------------------


@pytest.fixture
def database(folder: Path) -> Path:
    """A table with two old values, of which one is damaged, and a null."""
    path = folder / "app.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table people (id integer primary key, secret text)")
        connection.executemany(
            "insert into people values (?, ?)",
            [(1, write_xor("one")), (2, write_xor("two")), (3, None)],
        )
    return path


def rows(database: Path, table: str = "people") -> dict[int, str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return {row[0]: row[1] for row in connection.execute(f"select id, secret from {table}")}


def test_a_column_is_migrated_rolled_back_and_committed(
    migrating: Mfn, keyring: Keyring, database: Path
) -> None:
    """With the same command; doctor names it, without the URL's secrets."""
    where = ("--database", f"sqlite:///{database}", "--table", "people", "--column", "secret")
    before = rows(database)

    def run(*more: str) -> str:
        """As a process, since it forks others."""
        ran = migrating.process("migrate-xor", *where, *more)
        assert (ran.code, ran.err) == (0, "")
        return ran.out

    assert "2 values" in run("--dry-run")
    assert rows(database) == before
    assert "migrated 2 values" in run("-k", "orders")
    message = base64.urlsafe_b64decode(rows(database)[1])
    assert keyring.decrypt(message) == b"one"
    found = migrating("doctor", "--json").json
    assert [each["subject"] for each in found if each["check"] == "xor-kept"] == [
        f"column people.secret of {database}"
    ]
    run("--rollback")
    assert rows(database) == before
    run()
    run("--commit")
    assert rows(database)[1] != before[1]
    found = migrating("doctor", "--json").json
    assert [each for each in found if each["check"] == "xor-kept"] == []


def test_a_column_without_the_key_is_left(mfn: Mfn, database: Path) -> None:
    """The line says how to get it."""
    where = ("--database", f"sqlite:///{database}", "--table", "people", "--column", "secret")
    before = rows(database)
    assert "import-xor" in one_line(mfn.process("migrate-xor", *where), 7)
    assert rows(database) == before
