"""Lines of a chain: what they hang on, and what is none."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.audit.chain import (
    ChainKey,
    Checkpoint,
    mac_of,
    parse,
    sealed,
)
from mycelium_fractal_net.security.audit.events import encode
from mycelium_fractal_net.security.key_store.audit_table import Acknowledged, Anchor, ChainCount
from mycelium_fractal_net.security.key_store.finding_table import AcknowledgedFinding
from mycelium_fractal_net.security.policy import Policy

if TYPE_CHECKING:
    from tests.support.audit import Books

KEY_BYTES = bytes(range(32))
KEY = Policy().mac("HMAC-SHA-256", KEY_BYTES)
STORE = b"s" * 16
CHAIN = "0123456789abcdef" * 2
BODY = b'{"sequence":1,"time":"2026-03-01T12:00:00.000000Z","event":"encrypt","outcome":"ok"'


def tag(data: bytes) -> bytes:
    """HMAC-SHA-256 by the standard library, not by what is tested."""
    return hmac.digest(KEY_BYTES, data, sha256)


def test_a_line_is_json_whose_last_member_is_its_mac() -> None:
    """HMAC-SHA-256 over the former MAC and the bytes of the line before the member."""
    former = bytes(32)
    line, mac = sealed(BODY, former, KEY)
    assert mac == tag(former + BODY)
    assert line == BODY + b',"mac":"' + mac.hex().encode() + b'"}\n'
    assert json.loads(line)["mac"] == mac.hex()
    assert mac_of(line) == mac


def test_the_first_line_hangs_on_the_store_and_the_chain() -> None:
    """No chain's first line passes for another chain's, nor for another store's."""
    first = ChainKey(STORE, KEY).beginning(CHAIN)
    assert first == tag(
        b"mycelium-fractal-net/audit/chain/v1\0" + STORE + CHAIN.encode(),
    )
    others = {
        ChainKey(b"t" * 16, KEY).beginning(CHAIN),
        ChainKey(STORE, KEY).beginning(CHAIN[::-1]),
    }
    assert len(others | {first}) == 3


def test_a_line_that_is_read_hangs_on_the_one_before_alone() -> None:
    """Neither under another MAC nor with another body is its own MAC right."""
    former = tag(b"former")
    line, mac = sealed(BODY, former, KEY)
    read = parse(line)
    assert read is not None
    assert (read.sequence, read.mac, read.raw) == (1, mac, line)
    assert read.hangs_on(former, KEY)
    assert read.hangs_on(mac, KEY) is False
    edited = parse(line.replace(b"encrypt", b"decrypt"))
    assert edited is not None
    assert not edited.hangs_on(former, KEY)


LINE = sealed(BODY, bytes(32), KEY)[0]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        LINE[:-1],
        LINE[1:],
        LINE[:40],
        LINE[: -len(LINE) // 2] + b"\n",
        LINE.replace(b',"mac"', b',"mak"'),
        LINE.replace(b'"sequence":1', b'"sequence":"1"'),
        LINE.replace(b'"sequence":1', b'"sequence":1.0'),
        LINE.replace(b'"sequence":1', b'"sequence":true'),
        LINE.replace(b'"sequence"', b'"sequenze"'),
        LINE[:-10] + b"zz" + LINE[-8:],
        LINE.replace(b'"time"', b'"time'),
        LINE.replace(b'"time"', b'"tame"'),
        LINE.replace(b'"event"', b'"evint"'),
        LINE.replace(b'"outcome":"ok"', b'"outcome":17'),
        LINE.replace(b'"outcome":"ok"', b'"outcome":"ok","intent":[1]'),
        LINE.replace(b'"outcome":"ok"', b'"outcome":"ok","items":7'),
        LINE.replace(b'"outcome":"ok"', b'"outcome":"ok","key":7'),
        LINE.replace(b"encrypt", b"\xff\xfe"),
        LINE[:-67] + LINE[-67:-3].upper() + LINE[-3:],
        LINE.replace(b'"outcome":"ok"', b'"outcome":"ok","x":' + b"[" * 5000 + b"]" * 5000),
        b"[" + LINE[1:-2] + b"]\n",
        b"\0" * 200 + b"\n",
    ],
)
def test_what_no_release_ever_wrote_is_no_line(raw: bytes) -> None:
    """It is None, and never an error of whoever reads it: a tamperer stops nobody."""
    assert parse(raw) is None


@pytest.mark.parametrize("value", [b'"\xff"', b"1e999"])
def test_a_member_that_no_reader_takes_hides_no_other(value: bytes) -> None:
    """Found by fuzzing: a search of records ended with an error at such a line of a tamperer's."""
    line = parse(LINE.replace(b'"outcome":"ok"', b'"outcome":"ok","x":' + value))
    assert line is not None
    record = line.record()
    assert (record["event"], record["outcome"], record["mac"]) == ("encrypt", "ok", line.mac.hex())


@pytest.mark.parametrize("size", [10**31, 10**40])
def test_a_statement_with_a_number_without_end_is_not_authentic(size: int) -> None:
    """Found by fuzzing: of more than 31 digits, which JSON may have, it ended a verification."""
    stated = Checkpoint(CHAIN, "x", b"", size, b"", 1, 1, b"", bytes(32))
    assert ChainKey(STORE, KEY).is_authentic(stated) is False


STATEMENTS = (
    Anchor(CHAIN, "machine", 7, b"m" * 32, True, 5),
    Anchor(CHAIN, "machine", 7, b"m" * 32, False, None, restored_from="backup"),
    ChainCount(3),
    Acknowledged(CHAIN, 7, "deleted", "a disk", "cli:0", 1),
    AcknowledgedFinding("audit", "x", "known", "cli:0", 1, 2),
    Checkpoint(CHAIN, "x", b"b" * 32, 9, b"s" * 32, 1, 2, b"m" * 32),
)


def other(value: object) -> object:
    """Another value of its kind."""
    if isinstance(value, bool) or value is None:
        return 1 if value is None else not value
    return value + (1 if isinstance(value, int) else type(value)(value[:1]))  # type: ignore


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda each: type(each).__name__)
def test_no_member_of_a_statement_can_be_changed(statement: Any) -> None:
    """Which backup a store came from among them; nor can one be taken to another store."""
    key = ChainKey(STORE, KEY)
    made = key.authenticated(statement)
    assert key.is_authentic(made) is True
    for name, value in made._asdict().items():
        assert key.is_authentic(made._replace(**{name: other(value)})) is False, name
    for value in (None, 7, "text"):  # SQLite keeps any type in any column
        assert key.is_authentic(made._replace(tag=value)) is False
    assert ChainKey(b"t" * 16, KEY).is_authentic(made) is False


@pytest.mark.parametrize(
    ("statement", "label", "written"),
    [
        (STATEMENTS[0], b"audit/anchor", b"i\0\0\0\x011" + b"i\0\0\0\x015"),
        (
            STATEMENTS[1],
            b"audit/anchor",
            b"i\0\0\0\x010" + b"-\0\0\0\0" + b"s\0\0\0\x0drestored_from" + b"s\0\0\0\x06backup",
        ),
    ],
)
def test_an_anchor_is_authenticated_as_in_every_release(
    statement: Anchor, label: bytes, written: bytes
) -> None:
    """What the store was told before an upgrade is believed after it."""
    name = b"mycelium-fractal-net/" + label + b"/v1"
    head = b"b\0\0\0" + bytes([len(name)]) + name + b"b\0\0\0\x10" + STORE
    place = b"s\0\0\0 " + CHAIN.encode() + b"s\0\0\0\x07machine"
    line = b"i\0\0\0\x017" + b"b\0\0\0 " + b"m" * 32
    assert ChainKey(STORE, KEY).authenticated(statement).tag == tag(head + place + line + written)


def test_a_chain_that_is_begun_is_counted() -> None:
    """Where the count is authentic; one that is not stays as it is, so that it is found."""
    key = ChainKey(STORE, KEY)
    counted = key.one_more(key.authenticated(ChainCount(3)))
    assert counted.chains == 4
    assert key.is_authentic(counted)
    forged = ChainCount(3, bytes(32))
    assert key.one_more(forged) == forged


def test_a_record_has_the_members_that_another_release_wrote() -> None:
    """Whoever reads it sees what was said, known here or not."""
    line = parse(LINE.replace(b'"outcome":"ok"', b'"outcome":"ok","later":[1]'))
    assert line is not None
    assert line.record()["later"] == [1]


def test_what_an_event_leaves_out_is_not_written() -> None:
    """A line holds what was said, and nothing that was not."""
    assert encode(Event("encrypt", "ok")) == b'{"event":"encrypt","outcome":"ok"}'
    assert json.loads(encode(Event("a", "ok", key="k:v1", items={"k:v1": {"ok": 3}}, bytes=7))) == {
        "event": "a", "outcome": "ok", "key": "k:v1", "items": {"k:v1": {"ok": 3}}, "bytes": 7,
    }  # fmt: skip


def test_every_member_of_an_event_can_be_read_again() -> None:
    """What is written is a line to whoever reads it, whatever it says."""
    full = Event(
        "master.rotate", "intent", key="k:v1", actor="cli:0", request="r1",
        reference='a "reference"\n\r\0 é', items={"k": {"ok": 1}}, bytes=1 << 40, subject="c1",
        reason="why\u2028", intent=7, mark="aa", former="", count=3,
    )  # fmt: skip
    body = b'{"sequence":5,"time":"2026-03-01T12:00:00.000000Z",' + encode(full)[1:-1]
    line = parse(sealed(body, bytes(32), KEY)[0])
    assert line is not None
    record = line.record()
    assert record["reference"] == full.reference
    assert {name: record[name] for name in ("intent", "former", "count", "items")} == {
        "intent": 7, "former": "", "count": 3, "items": {"k": {"ok": 1}},
    }  # fmt: skip


def test_a_chain_on_disk_is_private_and_numbered_from_one(books: Books) -> None:
    """Segments and locks 0600 in folders 0700; each line hangs on the one before."""
    books.write(3)
    assert books.folder.stat().st_mode & 0o777 == 0o700
    assert books.chain.stat().st_mode & 0o777 == 0o700
    assert books.files[0].name == "00000000000000000001-0000.jsonl"
    for path in (*books.chain.iterdir(), books.folder / "machine"):
        assert path.stat().st_mode & 0o777 == 0o600
    key = books.provider.audit_keys.mac()
    former = ChainKey(books.provider.store_id, key).beginning(books.chain.name)
    for number, raw in enumerate(books.lines(), start=1):
        line = parse(raw)
        assert line is not None
        assert line.sequence == number
        assert line.hangs_on(former, key)
        former = line.mac
    assert [each["event"] for each in books.records()] == ["audit.opened", *["encrypt"] * 3]
