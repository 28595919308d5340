"""What is done to a chain is found, and named with the record that it was done to."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest
from sqlalchemy import text

from mycelium_fractal_net.security.audit import Event, Head
from mycelium_fractal_net.security.audit.chain import parse, sealed
from mycelium_fractal_net.security.audit.chain_checker import ChainChecker
from mycelium_fractal_net.security.audit.verification import ChainFault
from mycelium_fractal_net.security.policy import Policy
from tests.support.audit import Books, heads
from tests.support.stores import open_provider

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mycelium_fractal_net.security.key_store.audit_table import Anchor

RECORDS = 9  # the one that says that the process came, and eight


@pytest.fixture
def whole(books: Books) -> Books:
    """A chain of nine records in one segment, closed and told of."""
    books.write(RECORDS - 1)
    return books


@pytest.fixture
def parts(books: Books) -> Books:
    """The same in nine segments, or a few less."""
    books.write(RECORDS - 1, segment_bytes=1)
    assert len(books.files) >= 8
    return books


def test_a_chain_that_is_whole_verifies(whole: Books) -> None:
    """All records, none past the anchor, nothing torn."""
    report = whole.verified()
    (chain,) = report.chains
    assert report.faults == []
    assert (report.records, chain.records, chain.past_anchor, chain.torn_bytes) == (9, 9, 0, 0)
    assert (chain.chain, chain.begins, report.elsewhere) == (whole.chain.name, 1, [])


def test_segments_that_follow_each_other_verify(parts: Books) -> None:
    """They are one chain."""
    assert parts.verified().records == RECORDS
    assert parts.faults() == []


def test_a_folder_without_chains_verifies(books: Books) -> None:
    """Where nothing was recorded nothing is missing."""
    assert books.verified().chains == []


def test_a_chain_verifies_while_it_is_written(books: Books) -> None:
    """What lies past the anchor is said, and is no fault."""
    with books.opened() as log:
        for _ in range(5):
            log.record(Event("encrypt", "ok"))
        report = books.verified()
    assert report.faults == []
    assert (report.records, report.chains[0].past_anchor) == (6, 6)


# One segment ----------------------------------------------------------------------------------

Lines = list[bytes]


def _edited(number: int, old: bytes, new: bytes) -> Callable[[Lines], Lines]:
    def change(lines: Lines) -> Lines:
        changed = lines[number - 1].replace(old, new)
        assert changed != lines[number - 1]
        return [*lines[: number - 1], changed, *lines[number:]]

    return change


EDITED = "edited, or not written with this store's audit key"
NO_RECORD = "edited: it is no record any more"
CUT = "cut: the records up to 9 are missing"
STRANGE = "something that is no record stands before it"
NOT_TOLD = "not the record of what the store was told of"


def _mac_edited(lines: Lines) -> Lines:
    line = lines[4]
    flipped = b"0" if line[-10:-9] != b"0" else b"1"
    return [*lines[:4], line[:-10] + flipped + line[-9:], *lines[5:]]


def _other_key(lines: Lines) -> Lines:
    """A record and its MAC, made by somebody who has another key."""
    line = parse(lines[4])
    former = parse(lines[3])
    assert line is not None
    assert former is not None
    forged = line.signed.replace(b"orders", b"stolen")
    key = Policy().mac("HMAC-SHA-256", bytes(32))
    return [*lines[:4], sealed(forged, former.mac, key)[0], *lines[5:]]


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (_edited(5, b"orders", b"stolen"), [(5, EDITED)]),
        (_edited(1, b"opened", b"closed"), [(1, EDITED)]),
        (_edited(9, b"orders", b"stolen"), [(9, EDITED)]),
        (_edited(5, b'"time":"2', b'"time":"1'), [(5, EDITED)]),
        (_mac_edited, [(5, EDITED)]),
        (_other_key, [(5, EDITED), (6, EDITED)]),
        (_edited(5, b'"mac"', b'"mak"'), [(5, NO_RECORD)]),
        (_edited(5, b"\n", b""), [(5, "deleted, and all up to 6"), (5, STRANGE)]),
        (
            lambda lines: [*lines[:3], b"{}\n", b"{}\n", *lines[5:]],
            [(4, NO_RECORD), (5, NO_RECORD)],
        ),
        (lambda lines: [*lines[:4], b"junk\n", *lines[4:]], [(5, STRANGE)]),
        (lambda lines: [*lines[:8], b"junk\n"], [(9, NO_RECORD), (9, NOT_TOLD)]),
        (lambda lines: [*lines[:4], *lines[5:]], [(5, "deleted")]),
        (lambda lines: [*lines[:3], *lines[6:]], [(4, "deleted, and all up to 6")]),
        (lambda lines: lines[1:], [(1, "deleted")]),
        (lambda lines: [*lines[:2], *lines[3:6], *lines[7:]], [(3, "deleted"), (7, "deleted")]),
        (
            lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]],
            [(5, "reordered: it stands behind 6")],
        ),
        (lambda lines: [*lines[1:4], lines[0], *lines[4:]], [(1, "reordered: it stands behind 4")]),
        (
            lambda lines: [*lines[:2], *lines[5:7], *lines[2:5], *lines[7:]],
            [(n, "reordered: it stands behind 7") for n in (3, 4, 5)],
        ),
        (
            lambda lines: [*lines[:6], lines[2], *lines[6:]],
            [(3, "repeated: it stands behind 6 once more")],
        ),
        (lambda lines: lines[:6], [(7, CUT)]),
        (lambda lines: [], [(1, CUT)]),
        (lambda lines: [*lines[:8], lines[8][:30]], [(9, CUT)]),
    ],
)
def test_what_was_done_to_a_record_is_named(
    whole: Books, change: Callable[[Lines], Lines], faults: list[tuple[int, str]]
) -> None:
    """Edited, deleted, reordered, repeated, cut: with the record's sequence."""
    whole.tamper(change)
    assert sorted(whole.faults()) == faults


def test_every_byte_of_a_chain_counts(whole: Books) -> None:
    """Whichever byte is changed, the chain does not verify any more."""
    content = whole.files[0].read_bytes()
    for place in range(0, len(content), 41):
        changed = bytes([content[place] ^ 1])
        whole.files[0].write_bytes(content[:place] + changed + content[place + 1 :])
        assert whole.faults(), place
    whole.files[0].write_bytes(content)
    assert not whole.faults()


def test_only_so_many_faults_are_told_one_by_one(whole: Books) -> None:
    """A chain of millions under another key must not fill the memory of who verifies it."""
    line = parse(whole.lines()[0])
    assert line is not None
    key = Policy().mac("HMAC-SHA-256", bytes(32))
    checker = ChainChecker(key, bytes(32))
    for number in itertools.islice(itertools.count(2, 2), 1500):
        checker.add(line._replace(sequence=number))
    checker.finish()
    assert len(checker.faults) == 1000


# Segments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 3, -1])
def test_a_segment_that_is_missing_is_named_by_its_records(parts: Books, place: int) -> None:
    """The first, one between, the last."""
    removed = parts.files[place]
    first = int(removed.name[:20])
    count = len(parts.lines(removed))
    removed.unlink()
    ((sequence, what),) = parts.faults()
    assert sequence == first
    if place == -1:
        assert what == CUT
    elif count == 1:
        assert what == "deleted"
    else:
        assert what == f"deleted, and all up to {first + count - 1}"


def test_an_end_that_is_torn_between_two_segments_is_a_fault(parts: Books) -> None:
    """A crash leaves that in the last one alone."""
    second = parts.files[1]
    first = int(second.name[:20])
    second.write_bytes(second.read_bytes()[:-20])
    assert [sequence for sequence, _ in parts.faults()] == [first + len(parts.lines(second)) - 1]


def test_two_segments_whose_names_were_swapped_are_seen(parts: Books) -> None:
    """A name says which record a segment begins with, and it does not."""
    one, two = parts.files[2:4]
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    assert parts.faults()


def test_an_empty_segment_hides_no_records(whole: Books) -> None:
    """A segment counts in place of what it repeats; where it repeats nothing that is missing."""
    (whole.chain / "00000000000000000004-0000.jsonl").write_bytes(b"")
    assert whole.faults() == [(4, CUT)]


# The store and its anchors --------------------------------------------------------------------


def change_row(books: Books, statement: str) -> None:
    """What somebody does who can write to the database."""
    with books.provider.store.database.write() as connection:
        assert connection.execute(text(statement)).rowcount == 1


@pytest.mark.parametrize(
    "what",
    [
        "sequence = 3", "closed = 0", "open_from = 7", "mac = zeroblob(32)", "tag = zeroblob(32)",
        "machine = '00000000000000000000000000000000'",
    ],
)  # fmt: skip
def test_an_anchor_that_was_edited_is_seen(whole: Books, what: str) -> None:
    """The row says how far the chain has come, under the audit key."""
    change_row(whole, f"UPDATE mfn_audit_chains SET {what}")
    ((_, fault),) = whole.faults()
    assert fault == "what the store says of this chain was changed"
    assert whole.verified().chains[0].anchor is None


def test_an_anchor_that_was_deleted_is_seen(whole: Books) -> None:
    """Every chain is in the store before its first record; its records verify all the same."""
    change_row(whole, "DELETE FROM mfn_audit_chains")
    report = whole.verified()
    assert [fault.what for fault in report.faults] == [
        "the store does not know 1 of the chains any more that were begun",
        "the store does not know this chain",
    ]
    assert report.records == RECORDS


def test_a_chain_that_is_missing_is_named(whole: Books) -> None:
    """The store knows that it was there, and in which folder."""
    name = whole.chain.name
    shutil.rmtree(whole.chain)
    (fault,) = whole.verified().faults
    assert fault == ChainFault(name, 0, "the whole chain is missing")


def test_a_chain_of_another_machine_is_not_missing_here(whole: Books) -> None:
    """Unless who asks knows that all chains are here; it is told of, not looked for."""
    name = whole.chain.name
    shutil.rmtree(whole.folder)
    report = whole.verified()
    assert (report.faults, report.elsewhere) == ([], [name])
    assert whole.faults(all_here=True) == [(0, "the whole chain is missing")]


def test_a_chain_without_a_record_is_neither_missing_nor_unknown(books: Books) -> None:
    """A process may end between its folder, its row and its first record."""
    books.write(1)
    (books.folder / ("0" * 32)).mkdir(mode=0o700)
    assert not books.faults()
    row = books.provider.store.chains()[0]._replace(chain_id="1" * 32, sequence=0)
    books.provider.store.register_chain(row, books.provider.audit_keys.chain_key().one_more)
    assert not books.faults()


def test_a_chain_that_is_begun_meanwhile_is_no_fault(
    whole: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is asked for chains after the folders were listed, and for their number before."""
    store = whole.provider.store
    chains = store.chains

    def begun_meanwhile() -> list[Anchor]:
        with whole.opened() as one, whole.opened() as two:
            one.record(Event("encrypt", "ok"))
            two.record(Event("encrypt", "ok"))
            return chains()

    monkeypatch.setattr(store, "chains", begun_meanwhile)
    report = whole.verified()
    assert len(chains()) == 2
    assert report.faults == []


def test_a_chain_of_another_store_is_seen(whole: Books, tmp_path: Path) -> None:
    """Its records are not written with this store's key, and the store does not know it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    other = Books(open_provider(f"sqlite:///{elsewhere / 'keys.db'}", elsewhere), elsewhere / "a")
    other.write(2)
    shutil.copytree(other.chain, whole.folder / other.chain.name)
    other.provider.store.database.close()
    faults = whole.verified().faults
    assert {fault.chain for fault in faults} == {other.chain.name}
    assert faults[0].what == "the store does not know this chain"
    assert (1, EDITED) in [fault[1:3] for fault in faults]


def test_a_chain_put_in_anothers_place_is_seen(books: Books) -> None:
    """A chain's first record hangs on the chain's own id."""
    with books.opened() as one, books.opened() as two:
        one.record(Event("encrypt", "ok"))
        two.record(Event("encrypt", "ok"))
    one_folder, two_folder = books.chains
    shutil.rmtree(two_folder)
    shutil.copytree(one_folder, two_folder)
    faults = books.verified().faults
    assert {fault.chain for fault in faults} == {two_folder.name}
    assert (1, EDITED) in [fault[1:3] for fault in faults]


def test_another_past_is_seen_by_the_anchor(whole: Books, tmp_path: Path) -> None:
    """A chain that goes on from a copy has true records, and not those that were anchored."""
    kept = tmp_path / "kept"
    shutil.copytree(whole.folder, kept)
    row = whole.provider.store.chains()[0]
    whole.write(2)
    told = whole.provider.store.chains()[0]
    shutil.rmtree(whole.folder)
    shutil.copytree(kept, whole.folder)
    whole.provider.store.anchor_chain(row)
    whole.write(2)
    whole.provider.store.anchor_chain(told)
    assert whole.faults() == [(told.sequence, NOT_TOLD)]


# Heads that were kept elsewhere ---------------------------------------------------------------


def test_a_head_that_was_kept_finds_what_store_and_files_agree_on(
    whole: Books, tmp_path: Path
) -> None:
    """Who puts both back to an older state is found out by whoever kept a newer one."""
    older = whole.files[0].read_bytes()
    row = whole.provider.store.chains()[0]
    whole.write(3)
    kept = heads(whole.verified())
    assert not whole.faults(heads=kept)
    whole.files[0].write_bytes(older)
    whole.provider.store.anchor_chain(row)
    assert not whole.faults()
    assert whole.faults(heads=kept) == [(10, "cut: the records up to 13 are missing")]


def test_a_head_of_another_past_is_seen(whole: Books) -> None:
    """The record is there, and is not the one whose MAC was kept."""
    kept = Head(whole.chain.name, 4, "00" * 32)
    assert whole.faults(heads=[kept]) == [(4, "not the record of a head that was kept")]


def test_a_head_of_a_chain_that_nobody_knows_any_more_is_seen(whole: Books) -> None:
    """Store and folder have forgotten it, the head has not."""
    kept = Head("f" * 32, 4, "00" * 32)
    report = whole.verified(heads=[kept])
    assert report.faults == [ChainFault("f" * 32, 0, "the whole chain is missing")]


def test_a_head_of_another_machines_chain_is_checked_there(whole: Books) -> None:
    """It is known to be elsewhere."""
    kept = heads(whole.verified())
    shutil.rmtree(whole.folder)
    assert not whole.faults(heads=kept)


# Old segments that were moved away ------------------------------------------------------------


def test_segments_that_were_moved_away_are_read_where_they_are(
    parts: Books, tmp_path: Path
) -> None:
    """A copy that stayed counts once."""
    attic = tmp_path / "attic"
    (attic / parts.chain.name).mkdir(parents=True)
    for path in parts.files[:4]:
        shutil.copy(path, attic / parts.chain.name / path.name)
    for path in parts.files[:3]:
        path.unlink()
    report = parts.verified(also=[attic])
    assert (report.faults, report.records) == ([], RECORDS)
    assert parts.faults()[0][0] == 1


def test_a_chain_may_begin_after_a_head_that_was_kept(parts: Books) -> None:
    """What was before it was verified when the head was taken; what is after hangs on it."""
    with parts.opened() as log:
        log.record(Event("encrypt", "ok"))
    first = parts.files[3]
    before = int(first.name[:20]) - 1
    mac = parse(parts.lines(parts.files[2])[-1])
    assert mac is not None
    for path in parts.files[:3]:
        path.unlink()
    kept = Head(parts.chain.name, before, mac.mac.hex())
    report = parts.verified(heads=[kept])
    assert report.faults == []
    assert report.chains[0].begins == before + 1
    forged = msgspec.structs.replace(kept, mac="00" * 32)
    assert parts.faults(heads=[forged]) == [(before + 1, EDITED)]


def test_only_the_newest_segments_are_read_where_that_is_asked(parts: Books) -> None:
    """At least one, and nothing before them is asked for; what is in them must be right."""
    size = parts.files[-1].stat().st_size
    report = parts.verified(most_bytes=size)
    assert report.faults == []
    assert report.records == len(parts.lines(parts.files[-1]))
    assert report.chains[0].begins == int(parts.files[-1].name[:20])
    assert parts.verified(most_bytes=1).records == report.records
    assert parts.verified(most_bytes=1 << 30).records == RECORDS
    parts.files[0].write_bytes(b"")
    assert not parts.faults(most_bytes=size)
    last = parts.files[-1]
    last.write_bytes(last.read_bytes()[:-30])
    assert parts.faults(most_bytes=size)


# Torn ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail", [b'{"sequence":10,"ti', b"{" + b"\0" * 5000, b"\0" * 300 + b"half\n"]
)
def test_a_torn_end_past_the_anchor_is_no_fault(whole: Books, tail: bytes) -> None:
    """It is what a crash leaves, and it is told."""
    whole.files[0].write_bytes(whole.files[0].read_bytes() + tail)
    report = whole.verified()
    assert report.faults == []
    assert (report.records, report.chains[0].torn_bytes) == (RECORDS, len(tail))


def test_a_whole_line_past_the_anchor_is_none_of_a_crash(whole: Books) -> None:
    """Whoever writes one without the key is found out."""
    forged = whole.lines()[-1].replace(b'"sequence":9', b'"sequence":10')
    whole.files[0].write_bytes(whole.files[0].read_bytes() + forged)
    assert whole.faults() == [(10, EDITED)]


# Ends alone -----------------------------------------------------------------------------------


def test_the_end_of_a_chain_is_found_without_reading_the_rest(books: Books) -> None:
    """What was edited before it is for verification to say."""
    books.write(8, segment_bytes=1)
    first = books.files[0]
    first.unlink()
    first.mkdir()  # which cannot be read
    report = books.verified(ends_only=True)
    assert report.faults == []
    assert [each.sequence for each in heads(report)] == [9]
    books.files[-1].unlink()
    (fault,) = books.verified(ends_only=True).faults
    assert fault[1:3] == (9, "the record that the store was told of is not there")


def test_of_a_chain_that_the_store_does_not_know_no_end_is_looked_for(books: Books) -> None:
    """That is a fault of its own."""
    books.write(1)
    change_row(books, "UPDATE mfn_audit_chains SET sequence = 1")
    (fault,) = books.verified(ends_only=True).faults
    assert fault.what == "what the store says of this chain was changed"
