"""What was verified is not parsed again, and hides nothing: whatever is wrong is read again."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from mycelium_fractal_net.security.audit import Event, Head
from mycelium_fractal_net.security.audit import verification as verification_module
from mycelium_fractal_net.security.audit.chain import Checkpoint, parse
from mycelium_fractal_net.security.audit.checkpoints import CHECKPOINTS
from mycelium_fractal_net.security.audit.segments import forwards
from tests.support.audit import Books, heads
from tests.support.stores import open_provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def parts(books: Books) -> Books:
    """A chain of several segments of several records, verified once."""
    for count in (4, 5, 4):
        books.write(count, segment_bytes=500)
    assert len(books.files) > 4
    assert books.faults() == []
    return books


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sequences of the lines that verification parses; it is spied on and goes on."""
    found: list[int] = []

    def spy(path: Path, offset: int = 0) -> Iterator[Any]:
        for line in forwards(path, offset):
            found.append(getattr(line, "sequence", 0))
            yield line

    monkeypatch.setattr(verification_module, "forwards", spy)
    return found


def statements(books: Books) -> list[Checkpoint]:
    return msgspec.json.decode((books.chain / CHECKPOINTS).read_bytes(), type=list[Checkpoint])


def state(books: Books, found: list[Checkpoint]) -> None:
    (books.chain / CHECKPOINTS).write_bytes(msgspec.json.encode(found))


def lines_of(books: Books) -> int:
    return sum(len(books.lines(path)) for path in books.files)


def test_what_was_verified_is_not_parsed_again(parts: Books, parsed: list[int]) -> None:
    """Not one line of it, and the report is the same; with ``again`` each is."""
    whole = parts.verified(again=True)
    assert len(parsed) == lines_of(parts)
    parsed.clear()
    assert parts.verified() == whole
    assert parsed == []


def test_only_what_came_since_is_parsed(parts: Books, parsed: list[int]) -> None:
    """Within a segment that is still written too; and then that is known as well."""
    before = parts.verified().records
    parts.write(3)
    parsed.clear()
    assert parts.verified().records == before + 4
    assert parsed == [before + each for each in (1, 2, 3, 4)]
    parsed.clear()
    assert parts.faults() == []
    assert parsed == []


def test_records_that_the_store_was_not_told_of_are_parsed_each_time(
    books: Books, parsed: list[int]
) -> None:
    """Past the anchor nothing is stated: what is there may be another record tomorrow."""
    books.write(2)
    with books.opened() as log:
        log.record(Event("encrypt", "ok"))
        assert books.faults() == []
        (stated,) = statements(books)
        assert 0 < stated.last <= books.anchored()
        assert parsed == [1, 2, 3, 4, 5]


def test_every_byte_counts_after_it_was_verified(parts: Books) -> None:
    """Whatever is changed, what is said is what reading all again says."""
    for path in parts.files:
        content = path.read_bytes()
        for place in range(0, len(content), 41):
            changed = bytearray(content)
            changed[place] ^= 1
            path.write_bytes(changed)
            found = parts.faults()
            assert found
            assert found == parts.faults(again=True)
        path.write_bytes(content)
    assert parts.faults() == []


@pytest.mark.parametrize("place", [0, 2, -1])
def test_a_segment_that_goes_comes_twice_or_is_cut_is_seen(parts: Books, place: int) -> None:
    """Its statement is true and speaks of bytes that are not in that place any more."""
    path = parts.files[place]
    content = path.read_bytes()
    lines = parts.lines(path)
    for wrong in (b"".join(lines[:-1]), content + lines[-1], b"", lines[0][:-9]):
        path.write_bytes(wrong)
        found = parts.faults()
        assert found == parts.faults(again=True)
        # A line that the next segment begins before does not count: test_verification.py.
        assert found or (wrong == content + lines[-1] and place != -1)
    path.unlink()
    assert parts.faults() == parts.faults(again=True) != []


def test_two_segments_whose_names_were_swapped_are_seen(parts: Books) -> None:
    """A statement names its file, and what it hangs on."""
    one, other = parts.files[1], parts.files[2]
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    found = statements(parts)
    assert parts.faults() == parts.faults(again=True) != []
    swapped = [
        each._replace(segment={one.name: other.name, other.name: one.name}[each.segment])
        for each in found
        if each.segment in (one.name, other.name)
    ]
    state(parts, [*found, *swapped])
    assert parts.faults() == parts.faults(again=True) != []


def test_a_statement_that_was_written_by_somebody_else_is_none(
    parts: Books, tmp_path: Path
) -> None:
    """Each member is authenticated; so is another store's and another chain's."""
    true = statements(parts)
    path = parts.files[1]
    content = path.read_bytes()
    path.write_bytes(content.replace(b"encrypt", b"decrypt"))
    forged = []
    for each in true:
        if each.segment == path.name:
            digest = hashlib.sha256(path.read_bytes()[: each.size]).digest()
            forged.append(each._replace(sha256=digest))
    state(parts, forged)
    assert parts.faults() == parts.faults(again=True) != []
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    other = open_provider(f"sqlite:///{elsewhere / 'keys.db'}", elsewhere)
    stranger = other.audit_keys.chain_key()
    other.store.database.close()
    state(parts, [stranger.authenticated(each) for each in forged])
    assert parts.faults() == parts.faults(again=True) != []
    mine = parts.provider.audit_keys.chain_key()
    state(parts, [mine.authenticated(each._replace(chain="0" * 32)) for each in forged])
    assert parts.faults() == parts.faults(again=True) != []


@pytest.mark.parametrize(
    "content",
    [b"", b"[", b"{}", b"[[1,2]]", b"[" * 5000, b'[["a","b","","x","",1,1,"",""]]', b"\xff"],
)
def test_a_file_that_is_damaged_costs_time_alone(
    parts: Books, parsed: list[int], content: bytes
) -> None:
    """All is read again, and what was verified is written down anew."""
    (parts.chain / CHECKPOINTS).write_bytes(content)
    assert parts.faults() == []
    assert len(parsed) == lines_of(parts)
    parsed.clear()
    assert parts.faults() == []
    assert parsed == []


def test_an_older_file_is_true_as_well(parts: Books, parsed: list[int]) -> None:
    """Who puts it back gains nothing: what it does not know is read."""
    older = statements(parts)
    known = parts.verified().records
    parts.write(2)
    parts.verified()
    state(parts, older)
    parsed.clear()
    assert parts.faults() == []
    assert parsed == [known + 1, known + 2, known + 3]


def test_a_head_within_what_was_verified_is_looked_for(parts: Books) -> None:
    """That segment is read again; one at the end of a statement needs no reading."""
    kept = heads(parts.verified())
    assert parts.faults(heads=kept) == []
    line = parse(parts.lines(parts.files[0])[0])
    assert line is not None
    head = Head(parts.chain.name, line.sequence, line.mac.hex())
    assert parts.faults(heads=[head]) == []
    wrong = msgspec.structs.replace(head, mac="00" * 32)
    assert parts.faults(heads=[wrong]) == [(1, "not the record of a head that was kept")]


def test_behind_a_fault_what_is_in_order_is_known_again(parts: Books, parsed: list[int]) -> None:
    """A chain with an old fault is as quick as one without, and names it each time."""
    path = parts.files[1]
    path.write_bytes(path.read_bytes().replace(b"encrypt", b"decrypt"))
    first = parts.faults()
    assert first
    parsed.clear()
    assert parts.faults() == first
    assert 0 < len(parsed) < lines_of(parts) // 2


def test_a_segment_in_which_others_are_repeated_counts_up_to_the_next(
    parts: Books, parsed: list[int]
) -> None:
    """What the next one begins with stands there; the statement ends before it."""
    first, second = parts.files[0], parts.files[1]
    first.write_bytes(b"".join([*parts.lines(first), parts.lines(second)[0]]))
    whole = parts.verified(again=True)
    assert whole.faults == []
    assert parts.verified() == whole


def test_statements_lie_with_segments_that_were_moved(
    parts: Books, tmp_path: Path, parsed: list[int]
) -> None:
    """They are read in each folder and written into the one of this machine."""
    attic = tmp_path / "attic" / parts.chain.name
    attic.mkdir(parents=True)
    for path in [*parts.files[:3], parts.chain / CHECKPOINTS]:
        shutil.move(path, attic / path.name)
    assert parts.faults(also=[attic.parent]) == []
    assert parsed == []


def test_a_part_is_looked_at_and_nothing_is_left_behind(books: Books) -> None:
    """As doctor does."""
    books.write(3)
    assert books.faults(most_bytes=1) == []
    assert not (books.chain / CHECKPOINTS).exists()


def test_where_no_statement_can_be_written_records_are_verified_all_the_same(books: Books) -> None:
    """As in a folder that is only read: here something stands in its place."""
    books.write(3)
    (books.chain / CHECKPOINTS / "in the way").mkdir(parents=True)
    before = sorted(books.chain.iterdir())
    assert books.faults() == books.faults() == []
    assert sorted(books.chain.iterdir()) == before
