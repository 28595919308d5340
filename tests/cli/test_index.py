"""``mfn index`` and the keys that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.errors import ExitCode
from tests.support.cli import one_line

if TYPE_CHECKING:
    from tests.support.cli import Mfn

NAME = "customers-index"


def test_the_value_comes_by_standard_input_and_its_tags_are_printed(mfn: Mfn) -> None:
    """Not by the command line, which others of the machine may see; a newline is no part of it."""
    mfn.ok("key", "create", NAME, "--type", "index")
    mfn.ok("key", "rotate", NAME)
    with open_keyring(home=mfn.home) as keyring:
        newest, stored = keyring.index_tags("a@example.com", key_id=NAME, context=b"users.email")
    ran = mfn.process("index", NAME, "--context", "users.email", input=b"a@example.com\n")
    assert ran.out.splitlines() == [
        f"{newest.hex()}  {NAME}:v2",
        f"{stored.hex()}  {NAME}:v1  to store",
    ]


def test_fields_are_told_apart_and_json_says_which_to_store(mfn: Mfn) -> None:
    """By the same options as everywhere."""
    mfn.ok("key", "create", NAME, "--type", "index")
    asked = [
        "index",
        NAME,
        "value",
        "--context",
        "f",
        "--bits",
        "13",
        "--normalisation",
        "nfc",
        "--json",
    ]
    Path("value").write_bytes(b"")
    (tag,) = mfn.ok(*asked).json["tags"]
    with open_keyring(home=mfn.home) as keyring:
        made = keyring.index_tag("", key_id=NAME, context=b"f", bits=13, normalisation="nfc")
    assert tag == {"tag": made.hex(), "version_id": f"{NAME}:v1", "store": True}
    (event, *_) = [
        each for each in mfn.ok("audit", "show", "--json").json if each["event"] == "index"
    ]
    assert event["key"] == NAME


def test_each_line_is_a_value(mfn: Mfn) -> None:
    """So that a column is one command; a line that is no value is named, and nothing printed."""
    mfn.ok("key", "create", NAME, "--type", "index")
    values = ["alice", "", "Zo\u00eb", "alice"]
    with open_keyring(home=mfn.home) as keyring:
        tags = [keyring.index_tag(each, key_id=NAME, context=b"f").hex() for each in values]
        keyring.provider.keys.rotate(NAME)
    Path("lines").write_text("\n".join(values) + "\n", encoding="utf-8")
    asked = ["index", NAME, "lines", "--context", "f", "--lines"]
    lines = mfn.ok(*asked).out.splitlines()
    assert [line.split("; ")[1] for line in lines] == [
        f"{tag}  {NAME}:v1  to store" for tag in tags
    ]
    shown = mfn.ok(*asked, "--json").json["values"]
    assert [each["tags"][1]["tag"] for each in shown] == tags
    record = next(e for e in mfn.ok("audit", "show", "--json").json if e["event"] == "index")
    assert (record["key"], record["count"]) == (NAME, 4)
    Path("lines").write_bytes(b"alice\n\xff\n")
    said = one_line(mfn(*asked, "--normalisation", "nfc"), ExitCode.USAGE)
    assert "line 2: a value that is normalised is text in UTF-8" in said
    Path("lines").write_bytes(b"")
    assert mfn.ok(*asked).out == ""


def test_what_editors_add_to_a_text_is_no_part_of_a_value(mfn: Mfn) -> None:
    """Else the tags of a list from Windows were those of nobody, in silence."""
    mfn.ok("key", "create", NAME, "--type", "index")
    with open_keyring(home=mfn.home) as keyring:
        tag = keyring.index_tag("alice", key_id=NAME, context=b"f").hex()
        other = keyring.index_tag("alice\r", key_id=NAME, context=b"f").hex()
    for content in (b"alice", b"alice\n", b"alice\r\n", b"\xef\xbb\xbfalice\r\n"):
        Path("value").write_bytes(content)
        assert mfn.ok("index", NAME, "value", "--context", "f").out.split()[0] == tag
    Path("value").write_bytes(b"alice\r")
    assert mfn.ok("index", NAME, "value", "--context", "f").out.split()[0] == other
    Path("lines").write_bytes(b"\xef\xbb\xbfalice\r\nalice\r\nalice")
    lines = mfn.ok("index", NAME, "lines", "--context", "f", "--lines").out.splitlines()
    assert [line.split()[0] for line in lines] == [tag] * 3


def test_what_is_no_index_key_makes_no_tags(mfn: Mfn) -> None:
    """And no field without a name."""
    Path("value").write_bytes(b"")
    said = one_line(mfn("index", "orders", "value", "--context", "f"), ExitCode.FORBIDDEN)
    assert "this needs one of type index" in said
    mfn.ok("key", "create", NAME, "--type", "index")
    said = one_line(mfn("index", NAME, "value", "--context", ""), ExitCode.USAGE)
    assert "a context is at least one byte" in said


def test_such_keys_say_that_they_never_rotate_by_themselves(mfn: Mfn) -> None:
    """In the list and where they are shown; a policy that asks for it is refused."""
    mfn.ok("key", "create", NAME, "--type", "index")
    mfn.ok("key", "create", "same", "--type", "deterministic")
    listed = mfn.ok("key", "list").out.splitlines()
    for name in (NAME, "same"):
        assert next(line for line in listed if line.startswith(name)).endswith(" -")
        assert "by hand alone" in mfn.ok("key", "show", name).out
