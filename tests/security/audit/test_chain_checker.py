"""What is said of lines that are not as they were written: each fault alone, and two together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.audit import chain_checker
from mycelium_fractal_net.security.audit.chain import parse, sealed
from mycelium_fractal_net.security.audit.chain_checker import ChainChecker
from mycelium_fractal_net.security.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mycelium_fractal_net.security.audit.chain import Line

KEY = Policy().mac("HMAC-SHA-256", bytes(range(32)))
BEGINS = bytes(32)
EDITED = "edited, or not written with this store's audit key"


def chain(count: int, begins: bytes = BEGINS) -> list[Line]:
    """Lines 1 to ``count``, each on the one before."""
    lines: list[Line] = []
    for sequence in range(1, count + 1):
        body = b'{"sequence":%d,"time":"t","event":"encrypt","outcome":"ok"' % sequence
        raw, begins = sealed(body, begins, KEY)
        line = parse(raw)
        assert line is not None
        lines.append(line)
    return lines


def other_body(line: Line) -> Line:
    """The line with another body, and the MAC that it had."""
    found = parse(line.raw.replace(b"encrypt", b"decrypt"))
    assert found is not None
    return found


def other_mac(line: Line) -> Line:
    """The line as it was, with another MAC."""
    found = parse(line.raw[:-4] + (b"0" if line.raw[-4:-3] != b"0" else b"1") + line.raw[-3:])
    assert found is not None
    return found


def checked(lines: Sequence[Line | None], begins: bytes | None = BEGINS) -> ChainChecker:
    """A checker that took those lines; None is one that is no record."""
    checker = ChainChecker(KEY, begins)
    for line in lines:
        if line is None:
            checker.add_damaged()
        else:
            checker.add(line)
    checker.finish()
    return checker


L = chain(6)
NO_RECORD = "edited: it is no record any more"


@pytest.mark.parametrize(
    ("lines", "faults", "last"),
    [
        ([], [], 0),
        (L, [], 6),
        ([*L[:2], other_body(L[2]), *L[3:]], [(3, EDITED)], 6),
        ([*L[:2], other_mac(L[2]), *L[3:]], [(3, EDITED)], 6),
        ([other_body(L[0]), other_body(L[1]), L[2]], [(1, EDITED), (2, EDITED)], 3),
        ([*L[:2], *L[3:]], [(3, "deleted")], 6),
        ([L[0], *L[4:]], [(2, "deleted, and all up to 4")], 6),
        (L[2:], [(1, "deleted, and all up to 2")], 6),
        ([*L[:3], L[1], *L[3:]], [(2, "repeated: it stands behind 3 once more")], 6),
        ([L[0], L[0], L[1]], [(1, "repeated: it stands behind 1 once more")], 2),
        ([L[0], L[2], L[1], L[3]], [(2, "reordered: it stands behind 3")], 4),
        (
            [L[0], L[4], L[2], L[5]],
            [(2, "deleted"), (3, "reordered: it stands behind 5"), (4, "deleted")],
            6,
        ),
        (
            [L[0], L[2], L[4], L[1], L[5]],
            [(2, "reordered: it stands behind 5"), (4, "deleted")],
            6,
        ),
        ([*L[:2], None, *L[3:]], [(3, NO_RECORD)], 6),
        ([L[0], None, None, *L[3:]], [(2, NO_RECORD), (3, NO_RECORD)], 6),
        ([None, *L[1:]], [(1, NO_RECORD)], 6),
        ([*L[:5], None], [(6, NO_RECORD)], 6),
        ([*L[:3], None, *L[3:]], [(4, "something that is no record stands before it")], 6),
        (
            [*L[:2], None, *L[4:]],
            [(3, "deleted, and all up to 4"), (3, "something that is no record stands before it")],
            6,
        ),
        ([*L[:3], None, L[1], *L[3:]],
         [(2, "repeated: it stands behind 3 once more"),
          (4, "something that is no record stands before it")], 6),
    ],
)  # fmt: skip
def test_each_fault_is_told_once_with_its_sequence(
    lines: list[Line | None], faults: list[tuple[int, str]], last: int
) -> None:
    """In order of sequence; what is right behind a fault is not called wrong."""
    checker = checked(lines)
    assert checker.faults == faults
    assert checker.sequence == last


def test_a_line_is_in_order_behind_the_one_it_hangs_on_alone() -> None:
    """What a checkpoint may say of it: not behind a gap, damage, an edit, or what is unknown."""
    checker = ChainChecker(KEY, BEGINS)
    assert checker.hangs_on == BEGINS
    assert [checker.add(line) for line in L[:2]] == [True, True]
    assert checker.hangs_on == L[1].mac
    assert checker.add(other_body(L[2])) is False
    assert checker.hangs_on is None
    assert checker.add(L[3]) is False  # which of two MACs it hangs on was not known
    assert checker.add(L[4]) is True
    checker.add_damaged()
    assert checker.hangs_on is None
    assert checker.add(L[5]) is False
    assert checked([*L[:5], None]).hangs_on is None
    assert ChainChecker(KEY, None).hangs_on is None
    behind_a_gap = ChainChecker(KEY, BEGINS)
    assert [behind_a_gap.add(line) for line in (L[1], L[2], L[0])] == [False, True, False]


def test_where_nothing_is_known_of_the_beginning_the_first_line_is_believed() -> None:
    """And each after it hangs on it."""
    assert checked(L[:3], begins=None).faults == []
    assert checked([L[0], other_body(L[1])], begins=None).faults == [(2, EDITED)]
    checker = ChainChecker(KEY, None, sequence=3)
    assert [checker.add(line) for line in L[3:]] == [False, True, True]
    assert checker.faults == []


def test_lines_that_were_known_before_are_passed_over() -> None:
    """The next line hangs on the last of them."""
    checker = ChainChecker(KEY, BEGINS)
    checker.pass_over(4, L[3].mac)
    assert (checker.sequence, checker.hangs_on) == (4, L[3].mac)
    assert checker.add(L[4]) is True
    assert checker.add(L[5]) is True
    assert checker.faults == []


def test_what_is_skipped_is_missing_unless_it_comes_later() -> None:
    """To skip to the next sequence, or to one before, leaves nothing out."""
    checker = ChainChecker(KEY, BEGINS)
    checker.add(L[0])
    for sequence in (1, 2):
        checker.skip_to(sequence)
        assert (checker.sequence, checker.hangs_on) == (1, L[0].mac)
    checker.skip_to(4)
    assert (checker.sequence, checker.hangs_on) == (3, None)
    checker.add(L[3])
    checker.finish()
    assert checker.faults == [(2, "deleted, and all up to 3")]


def test_gaps_and_faults_without_an_end_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand of either are told: the first ones. Here ten are."""
    assert chain_checker._MOST == 1000
    monkeypatch.setattr(chain_checker, "_MOST", 10)
    lines = chain(50)
    checker = ChainChecker(KEY, BEGINS)
    for line in lines[1::2]:
        checker.add(line)
        assert len(checker._missing) <= 10
    checker.finish()
    assert checker.faults == [(each, "deleted") for each in range(1, 20, 2)]
    assert checker.sequence == 50
    edited = checked([other_body(line) for line in lines[:15]])
    assert edited.faults == [(each, EDITED) for each in range(1, 11)]
