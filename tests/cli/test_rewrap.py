"""``mfn rewrap`` of several files, folders and object stores, and what is recorded of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.errors import ExitCode
from tests.support.cli import one_line

if TYPE_CHECKING:
    from tests.support.cli import Mfn

WHY = ("--reason", "these two folders are all that orders seals")


@pytest.fixture
def sealed(mfn: Mfn) -> Mfn:
    """Two folders and a file, sealed under the first version of a key that has two."""
    with open_keyring(home=mfn.home) as keyring:
        for name in ("a/1.mfn", "a/deep/2.mfn", "b/3.mfn", "4.mfn"):
            path = mfn.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(keyring.encrypt(name.encode(), key_id="orders"))
    mfn.ok("key", "rotate", "orders")
    return mfn


def versions(mfn: Mfn, *names: str) -> list[int]:
    """The version that each file is under."""
    with open_keyring(home=mfn.home) as keyring:
        return [keyring.describe((mfn.folder / name).read_bytes()).version for name in names]


def rewrapped(mfn: Mfn) -> list[bool]:
    """For each version of orders, whether a finished rewrap is on record."""
    with open_keyring(home=mfn.home) as keyring:
        key = keyring.provider.keys.get("orders")
    return [version.rewrapped_at is not None for version in key.versions]


def test_files_and_folders_are_moved_in_one_command(sealed: Mfn) -> None:
    """Folders need no -r; a second run finds everything done."""
    names = ("a/1.mfn", "a/deep/2.mfn", "b/3.mfn", "4.mfn")
    said = sealed.ok("rewrap", "a", "b", "4.mfn").out
    assert said.startswith("rewrapped 4 files (")
    assert "in 3 places" in said
    assert versions(sealed, *names) == [2, 2, 2, 2]
    assert ", 4 done before" in sealed.ok("rewrap", "-r", "a", "b", "4.mfn").out
    for name in names:
        sealed.ok("decrypt", name, "-o", "back", "--force")
        assert (sealed.folder / "back").read_bytes() == name.encode()


def test_what_could_not_be_moved_is_in_the_report_and_the_exit_code(sealed: Mfn) -> None:
    """One line of JSON for each, with the path and the reason; the others are done."""
    (sealed.folder / "a" / "bad.mfn").write_bytes(b"MFN\x01" + bytes(200))
    ran = sealed("rewrap", "a", "b", "--report", "left.jsonl")
    assert ran.code == ExitCode.PARTIAL
    assert ran.err == "mfn: 1 file failed; mend the cause and run the same again\n"
    (line,) = (sealed.folder / "left.jsonl").read_text().splitlines()
    left = json.loads(line)
    assert Path(left["path"]).name == "bad.mfn"
    assert left["reason"]
    assert versions(sealed, "a/1.mfn", "a/deep/2.mfn", "b/3.mfn") == [2, 2, 2]
    assert "bad.mfn: " in sealed("rewrap", "a").err


def test_many_failures_are_told_in_few_lines(sealed: Mfn) -> None:
    """Twenty of them; the report has all."""
    for number in range(25):
        (sealed.folder / "a" / f"{number}-bad.mfn").write_bytes(b"MFN\x01" + bytes(200))
    lines = sealed("rewrap", "a").err.splitlines()
    assert len(lines) == 20 + 2
    assert "mfn: and 5 more; --report FILE lists them all" in lines
    sealed("rewrap", "a", "--report", "left")
    assert len((sealed.folder / "left").read_text().splitlines()) == 25


def test_a_finished_rewrap_is_recorded_with_its_reason(sealed: Mfn) -> None:
    """The older versions may go then; who said so, and why, is in the audit log."""
    said = sealed.ok("rewrap", "a", "b", "4.mfn", "--finished", "orders", *WHY).out
    assert "nothing is under older versions of orders any more" in said
    assert rewrapped(sealed) == [True, False]
    (records,) = (sealed.home / "audit").glob("*/*.jsonl")
    events = [json.loads(line) for line in records.read_text().splitlines()]
    said_so = [each for each in events if each.get("event") == "key.rewrapped"]
    assert [each["outcome"] for each in said_so] == ["intent", "ok"]
    assert (said_so[0]["key"], said_so[0]["reason"]) == ("orders:v1", WHY[1])


@pytest.mark.parametrize("what", ["broken", "other name"])
def test_an_unfinished_rewrap_is_not_recorded(sealed: Mfn, what: str) -> None:
    """A file that failed, or one under the key that was passed over for its name."""
    if what == "broken":
        (sealed.folder / "a" / "bad.mfn").write_bytes(b"MFN\x01" + bytes(200))
    else:
        (sealed.folder / "4.mfn").rename(sealed.folder / "a" / "4.bak")
    ran = sealed("rewrap", "a", "b", "--finished", "orders", *WHY)
    assert ran.code == ExitCode.PARTIAL
    assert "not recorded for orders: not everything was moved" in ran.err
    assert rewrapped(sealed) == [False, False]


def test_files_of_any_name_are_moved_where_that_is_asked_for(sealed: Mfn) -> None:
    """What is no message is passed over."""
    (sealed.folder / "4.mfn").rename(sealed.folder / "a" / "4.bak")
    (sealed.folder / "a" / "note.txt").write_text("MFN is no message")
    said = sealed.ok("rewrap", "a", "b", "--any-name", "--finished", "orders", *WHY).out
    assert "note.txt" in said
    assert versions(sealed, "a/4.bak") == [2]
    assert rewrapped(sealed) == [True, False]


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("a", "--finished", "orders"), "--reason"),
        (("a", "--finished", "orders", "--reason", " "), "--reason"),
        (("a", "--reason", "x"), "--finished"),
        (("4.mfn", "b/3.mfn", "-o", "out"), "by themselves"),
        (("4.mfn", "-", "b/3.mfn"), "by themselves"),
        (("-r", "-"), "leave -o away"),
        (("memory://x", "-o", "out"), "by themselves"),
        (("nowhere://x",), "--help"),
        (("4.mfn", "-o", "out", "--finished", "orders", *WHY), "by themselves"),
        ((), "name a file"),
    ],
)
def test_what_does_not_go_together_is_refused(
    sealed: Mfn, arguments: tuple[str, ...], advice: str
) -> None:
    """Exit code 2, before anything is moved."""
    assert advice in one_line(sealed("rewrap", *arguments), ExitCode.USAGE)
    assert versions(sealed, "a/1.mfn", "4.mfn") == [1, 1]


def test_a_path_that_is_not_there_stops_all_before_anything_is_moved(sealed: Mfn) -> None:
    """A typing error must not look like a rewrap of everything."""
    ran = sealed("rewrap", "a", "missing", "--finished", "orders", *WHY)
    one_line(ran, ExitCode.INPUT)
    assert versions(sealed, "a/1.mfn") == [1]


def test_a_key_that_is_not_there_is_never_finished(sealed: Mfn) -> None:
    """Exit code 7, before anything is moved."""
    one_line(sealed("rewrap", "a", "--finished", "order", *WHY), ExitCode.KEY_UNKNOWN)
    assert versions(sealed, "a/1.mfn") == [1]


def test_the_data_key_of_a_message_may_be_bound_to_text(mfn: Mfn) -> None:
    """decrypt and rewrap take it, for one file and for a folder."""
    with open_keyring(home=mfn.home) as keyring:
        data_key = keyring.data_key(key_id="orders", associated_data=b"tenant 7")
        for name in ("one.mfn", "f/two.mfn"):
            (mfn.folder / name).parent.mkdir(exist_ok=True)
            (mfn.folder / name).write_bytes(data_key.sealer.seal(b"data"))
    mfn.ok("key", "rotate", "orders")
    bound = ("--data-key-associated-data", "tenant 7")
    one_line(mfn("decrypt", "one.mfn", "-o", "-"), ExitCode.NOT_AUTHENTIC)
    one_line(mfn("rewrap", "one.mfn"), ExitCode.NOT_AUTHENTIC)
    assert mfn("decrypt", "one.mfn", "-o", "-", *bound).raw == b"data"
    mfn.ok("decrypt", "-r", "f", "-o", "back", *bound)
    assert (mfn.folder / "back" / "two").read_bytes() == b"data"
    mfn.ok("rewrap", "one.mfn", *bound)
    mfn.ok("rewrap", "f", *bound)
    assert versions(mfn, "one.mfn", "f/two.mfn") == [2, 2]
    assert mfn("decrypt", "one.mfn", "-o", "-").raw == b"data"


def test_folders_and_object_stores_go_together(sealed: Mfn, tmp_path: Path) -> None:
    """A URL beside a path; what is recorded and reported is of both."""
    memory = fsspec.filesystem("memory")
    place = f"/{tmp_path.name}"
    for path in ("a/1.mfn", "4.mfn"):
        memory.pipe_file(f"{place}/{path}", (sealed.folder / path).read_bytes())
    try:
        url = f"memory:/{place}"
        said = sealed.ok("rewrap", url, "a", "b", "4.mfn", "--finished", "orders", *WHY).out
        assert "rewrapped 6 files (" in said
        assert rewrapped(sealed) == [True, False]
        memory.pipe_file(f"{place}/bad.mfn", b"MFN\x01")
        ran = sealed("rewrap", url, "--report", "left")
        assert (ran.code, "2 done before" in ran.out) == (ExitCode.PARTIAL, True)
        left = json.loads((sealed.folder / "left").read_text())
        assert left["path"] == f"memory://{place}/bad.mfn"
        one_line(sealed("rewrap", "memory://absent/x.mfn"), ExitCode.INPUT)
    finally:
        memory.rm(place, recursive=True)
