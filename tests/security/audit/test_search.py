"""Reading records back: what fits, newest first."""

from __future__ import annotations

import itertools
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.audit import Budget, Event, Wanted, query, search
from mycelium_fractal_net.security.audit.search import _decoded, _encoded, _Place
from mycelium_fractal_net.security.audit.segments import backwards, forwards
from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.audit import Books

EVENTS = [
    Event("key.rotate", "ok", key="orders:v2", actor="alice"),
    Event("encrypt", "ok", key="orders:v2", actor="bob"),
    Event("encrypt", "ok", key="orders2:v1", actor="alice"),
    Event("encrypt.batch", "ok", items={"orders:v1": {"ok": 3}, "t:v1": {"ok": 1}}, actor="bob"),
    Event("encrypted", "ok", actor="carol"),
    Event("refused", "unauthenticated", items={"-": {"unauthenticated": 5}}, actor="anonymous"),
]


@pytest.fixture
def filled(books: Books) -> Books:
    """A chain with the events above, each with a sync of its own."""
    with books.opened() as log:
        for event in EVENTS:
            log.record(event)
    return books


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [7, 6, 5, 4, 3, 2, 1]),
        ({"limit": 3}, [7, 6, 5]),
        ({"limit": 0}, []),
        ({"key": "orders"}, [5, 3, 2]),
        ({"key": "orders:v1"}, [5]),
        ({"key": "orders:v2"}, [3, 2]),
        ({"key": "order"}, []),
        ({"key": "-"}, [7]),
        ({"actor": "alice"}, [4, 2]),
        ({"event": "encrypt"}, [5, 4, 3]),
        ({"event": "encrypt.batch"}, [5]),
        ({"event": "key"}, [2]),
        ({"event": "key.rot"}, []),
        ({"actor": "bob", "key": "orders", "event": "encrypt"}, [5, 3]),
        ({"actor": "bob", "limit": 1}, [5]),
    ],
)
def test_all_that_is_asked_for_must_hold(
    filled: Books, wanted: dict[str, Any], found: list[int]
) -> None:
    """A key's name stands for its versions, an event's for all below it; never for a part."""
    assert [each["sequence"] for each in query(filled.folder, **wanted)] == found


def test_a_record_that_is_read_names_its_chain_and_has_no_mac(filled: Books) -> None:
    """All else is as it was written."""
    (newest,) = query(filled.folder, limit=1)
    written = json.loads(filled.lines()[-1])
    del written["mac"]
    assert newest == {"chain": filled.chain.name, **written}


def test_times_are_inclusive_and_may_be_short(filled: Books) -> None:
    """To the second or to any digit behind it."""
    times = {each["sequence"]: each["time"] for each in query(filled.folder)}

    def between(**wanted: Any) -> list[int]:
        return sorted(each["sequence"] for each in query(filled.folder, **wanted))

    assert between(since=times[3], until=times[5]) == [3, 4, 5]
    assert between(since=times[7]) == [7]
    assert between(until=times[1]) == [1]
    second = times[1][:19] + "Z"
    assert 1 in between(since=second)
    assert 1 not in between(until=second) or times[1].endswith(".000000Z")
    assert between(since=times[3][:-1].rstrip("0") + "Z")[0] == 3
    assert between(since="2999-01-01T00:00:00Z") == []


def test_chains_are_read_as_one(books: Books) -> None:
    """Records of several processes come in the order of their times."""
    with books.opened() as one, books.opened() as two:
        for number in range(10):
            (one, two)[number % 2].record(Event("encrypt", "ok", count=number))
    assert [each.get("count") for each in query(books.folder, event="encrypt")] == list(
        range(9, -1, -1)
    )
    assert len({each["chain"] for each in query(books.folder)}) == 2


def test_segments_are_read_from_the_last_to_the_first(books: Books) -> None:
    """And what a later one repeats is there once."""
    books.write(8, segment_bytes=1)
    found = [each["sequence"] for each in query(books.folder)]
    assert found == list(range(9, 0, -1))
    first, second = books.files[:2]
    first.write_bytes(first.read_bytes() + second.read_bytes() + b'{"sequence":3')
    assert [each["sequence"] for each in query(books.folder)] == found


def test_where_nothing_was_recorded_nothing_is_found(tmp_path: Path) -> None:
    """A folder that is not there is empty."""
    assert query(tmp_path / "audit") == []


def test_a_chain_without_a_record_is_passed_over(filled: Books) -> None:
    """Its process ended before the first."""
    (filled.folder / ("0" * 32)).mkdir(mode=0o700)
    assert len(query(filled.folder)) == 7


def test_what_is_no_record_is_passed_over(filled: Books) -> None:
    """Whoever tampers keeps nobody from reading the rest."""
    first, second, third, *others = filled.lines()
    damaged = [b"\0\0\n", first, second, b'{"mac":1}\n', third[:30] + b"\n", *others, b'{"seq']
    filled.tamper(lambda _: damaged)
    assert [each["sequence"] for each in query(filled.folder)] == [7, 6, 5, 4, 2, 1]


def test_lines_are_found_from_both_ends_alike(books: Books) -> None:
    """Across the blocks that a file is read in, for lines of any length."""
    with books.opened() as log:
        for length in (10, 65_000, 3, 70_000, 200_000, 1, 131_072, 900_000, 7):
            log.append(Event("encrypt", "ok", reason="x" * length))
        for _ in range(1000):
            log.append(Event("encrypt", "ok"))
    (path,) = books.files
    there = list(forwards(path))
    assert len(there) == 1010
    assert list(backwards(path)) == there[::-1]


def test_reading_from_the_end_gives_up_where_no_line_ends(filled: Books) -> None:
    """A file of something else does not fill the memory of who reads it."""
    (path,) = filled.files
    content = path.read_bytes()
    path.write_bytes(content + b"x" * 3_000_000 + b"\n" + content)
    assert [line.sequence for line in backwards(path)] == list(range(7, 0, -1))


def test_reading_takes_no_more_than_is_asked_for(books: Books) -> None:
    """The newest records of a long chain are found without reading the rest."""
    books.write(8, segment_bytes=1)
    for path in books.files[:4]:
        path.unlink()
        path.mkdir()  # which cannot be read
    assert [each["sequence"] for each in query(books.folder, limit=2)] == [9, 8]
    with pytest.raises(IsADirectoryError):
        query(books.folder)


# Pages ----------------------------------------------------------------------------------------


def pages(books: Books, wanted: Wanted, **options: Any) -> list[list[int]]:
    """The counts that the records of each page have, to the end."""
    found: list[list[int]] = []
    cursor = None
    while not found or cursor is not None:
        page = search(books.folder, wanted, cursor=cursor, **options)
        found.append([record["count"] for record in page.records])
        cursor = page.cursor
        assert len(found) < 100
    return found


def flat(found: list[list[int]]) -> list[int]:
    """The pages as one."""
    return list(itertools.chain.from_iterable(found))


@pytest.fixture
def three(books: Books) -> Books:
    """Three chains whose records come in turns, thirty in all, in segments of a few lines."""
    logs = [books.log(segment_bytes=700) for _ in range(3)]
    for number in range(30):
        logs[number % 3].record(Event("encrypt", "ok", count=number, actor=f"a{number % 2}"))
    for log in logs:
        log.close()
    return books


def test_a_search_goes_on_where_its_page_ended(three: Books) -> None:
    """Across chains and segments: each record once, in the order of one search."""
    wanted = Wanted(event="encrypt")
    for limit in (1, 4, 7, 30):
        found = pages(three, wanted, limit=limit)
        assert flat(found) == list(range(29, -1, -1))
        assert all(len(page) == limit for page in found[:-2])


def test_a_search_reads_no_more_than_its_budget(three: Books) -> None:
    """A page may have found nothing yet; the next one goes on."""
    found = pages(three, Wanted(actor="a1", event="encrypt"), budget=Budget(records=3))
    assert flat(found) == list(range(29, 0, -2))
    assert len(found) >= 11
    nobody = pages(three, Wanted(actor="nobody"), budget=Budget(records=10))
    assert flat(nobody) == []
    assert len(nobody) == 4


def test_a_search_ends_when_its_time_is_up_or_nobody_waits(three: Books) -> None:
    """What it had read until then is told, with where to go on."""
    late = search(three.folder, Wanted(), budget=Budget(seconds=0.0))
    assert late.records == []
    assert late.cursor is not None
    gone = search(three.folder, Wanted(), budget=Budget(cancelled=lambda: True))
    assert gone == late


def test_records_that_came_since_are_not_in_the_next_page(three: Books) -> None:
    """Also where a chain was begun, or gone on with in a segment that was open."""
    first = search(three.folder, Wanted(event="encrypt"), limit=10)
    with three.opened() as log, three.opened() as another:
        log.record(Event("encrypt", "ok", count=100))
        another.record(Event("encrypt", "ok", count=101))
    rest = search(three.folder, Wanted(event="encrypt"), limit=100, cursor=first.cursor)
    assert [record["count"] for record in rest.records] == list(range(19, -1, -1))
    assert rest.cursor is None


def test_segments_that_were_moved_away_meanwhile_are_passed_over(three: Books) -> None:
    """And a chain that is gone altogether."""
    first = search(three.folder, Wanted(event="encrypt"), limit=10)
    shutil.rmtree(three.chains[0])
    min(three.chains[0].glob("*.jsonl")).unlink()
    rest = search(three.folder, Wanted(event="encrypt"), limit=100, cursor=first.cursor)
    assert 0 < len(rest.records) < 20


@pytest.mark.parametrize("cursor", ["?", "AAAA", "A" * 50_000, "QR"])
def test_what_is_no_cursor_is_refused(three: Books, cursor: str) -> None:
    """Whatever a caller sends, no file but those of chains is read."""
    with pytest.raises(InvalidInputError, match="cursor"):
        search(three.folder, Wanted(), cursor=cursor)


def test_a_cursor_of_another_folder_finds_nothing(three: Books) -> None:
    """Its chains are not here."""
    elsewhere = _encoded({"0" * 32: _Place(1, 0, 100)})
    assert search(three.folder, Wanted(), cursor=elsewhere) == ([], None)
    assert search(three.folder, Wanted(), cursor="") == ([], None)


def test_a_cursor_that_somebody_made_up_reads_no_more_than_lines(three: Books) -> None:
    """An offset behind the end of a segment, or within a line, finds whole lines alone."""
    chain = three.chains[0].name
    segment = max(three.chains[0].glob("*.jsonl")).name
    first, attempt = int(segment[:20]), int(segment[21:25])
    for offset in (0, 1, 200, 1 << 63):
        made_up = _encoded({chain: _Place(first, attempt, offset)})
        for record in search(three.folder, Wanted(), cursor=made_up).records:
            assert record["chain"] == three.chains[0].name


def test_a_search_finds_what_a_line_by_line_look_finds(filled: Books) -> None:
    """A word that stands in another member is not taken for the one that was asked for."""
    with filled.opened() as log:
        log.record(Event("decrypt", "ok", reason='"actor":"alice"', key="orders:v9"))
        log.record(Event("decrypt", "ok", actor="al\u00efce", key="t:v1", reference="orders:v1"))
    assert [each["sequence"] for each in query(filled.folder, actor="alice")] == [4, 2]
    assert [each["key"] for each in query(filled.folder, actor="al\u00efce")] == ["t:v1"]
    assert query(filled.folder, actor="al\udcefce") == []
    assert query(filled.folder, key="\udcff") == []
    assert query(filled.folder, event="\udc00\ud800") == []
    assert 9 not in [each["sequence"] for each in query(filled.folder, key="orders:v1")]


def test_a_cursor_of_hundreds_of_chains_fits_into_a_request(three: Books) -> None:
    """Of long ones too; where it would not, the search says what to do."""
    chains = {f"{number:032x}"[::-1]: _Place(10**9, 3, 60_000_000) for number in range(400)}
    cursor = _encoded(chains)
    assert len(cursor) < 7_600
    for chain in chains:
        (three.folder / chain).mkdir()
    assert _decoded(three.folder, cursor) == chains
    with pytest.raises(InvalidInputError, match="narrow it by time"):
        _encoded({f"{number:032x}"[::-1]: _Place(10**9, 3, 60_000_000) for number in range(500)})


def test_a_chain_that_was_read_to_its_beginning_is_in_no_cursor(three: Books) -> None:
    """It takes no room, and what comes into it later is none of that search."""
    count = len(query(three.folder, limit=1000))
    whole = search(three.folder, Wanted(), limit=count)
    assert len(whole.records) == count
    assert whole.cursor is None
