"""Reading records back, newest first. Whether they are true, :func:`verify` says.

A search costs what it reads, so that it can be given a budget; once that is spent it says where to
go on.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from functools import reduce
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from mycelium_fractal_net.security.audit.chain import parse
from mycelium_fractal_net.security.audit.folders import chain_folders
from mycelium_fractal_net.security.audit.segments import raw_backwards, segments, with_next
from mycelium_fractal_net.security.byte_io.encodings import b64url_decode, b64url_encode
from mycelium_fractal_net.security.byte_io.printable import ascii_json
from mycelium_fractal_net.security.errors import InvalidInputError, InvalidKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SEQUENCE: Final = b'{"sequence":'
_TIME: Final = b',"time":"'
_TIME_BYTES: Final = 26  # without its Z
_LOOK_EACH: Final = 256  # records between two looks at the clock
_ID_BYTES: Final = 4  # of a chain's 16, in a cursor: no two of a folder begin alike
_MOST_CURSOR_BYTES: Final = 5_700  # 7,600 characters, which fit into the target of a request


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records; all that is given must hold.

    ``key`` is a key id, which stands for all its versions, or a version id; ``event`` as it is
    written, or with all below it (``key`` finds ``key.rotate``); times are RFC 3339 in UTC and
    inclusive.
    """

    key: str | None = None
    actor: str | None = None
    event: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a search may read at most, and what says that nobody waits for it any more."""

    records: int = 100_000
    seconds: float = 1.0
    cancelled: Callable[[], bool] = lambda: False


class Page(NamedTuple):
    """What was found, and where to go on; no cursor where all was read."""

    records: list[dict[str, Any]]
    cursor: str | None


def search(
    folder: Path,
    wanted: Wanted,
    *,
    limit: int = 100,
    budget: Budget | None = None,
    cursor: str | None = None,
) -> Page:
    """Up to ``limit`` records of all chains in an audit folder, newest first.

    Where that many were found, or the budget is spent, which may be before one was, the page has a
    cursor: the same search with it goes on there, and knows no record that came since.
    Raises :class:`InvalidInputError` for what is no cursor, or where so many chains are read at
    once, some 450, that none can say how far; and :class:`OSError`.
    """
    places = _newest(folder) if cursor is None else _decoded(folder, cursor)
    chains = [_lines(folder / chain, places[chain], wanted.since) for chain in places]
    merged = heapq.merge(*chains, key=attrgetter("time"), reverse=True)
    fits = _Fits(wanted)
    found: list[dict[str, Any]] = []
    ends = time.monotonic() + budget.seconds if budget is not None else 0.0
    for count, line in enumerate(merged):
        if len(found) == limit or (budget is not None and _is_spent(budget, count, ends)):
            return Page(found, _encoded(places) or None)
        places[line.chain] = line.place
        if line.place.offset == 0 and line.place.first == 1:
            del places[line.chain]  # it was read to its beginning
        if fits.maybe(line) and (parsed := parse(line.raw)) is not None:
            record = parsed.record()
            if fits.surely(record):
                del record["mac"]
                found.append({"chain": line.chain, **record})
    return Page(found, None)


def query(folder: Path, *, limit: int = 100, **wanted: str | None) -> list[dict[str, Any]]:
    """Up to ``limit`` records that fit :class:`Wanted`, newest first, whatever that costs."""
    return search(folder, Wanted(**wanted), limit=limit).records


def _is_spent(budget: Budget, count: int, ends: float) -> bool:
    if count >= budget.records:
        return True
    return count % _LOOK_EACH == 0 and (time.monotonic() >= ends or budget.cancelled())


class _Fits:
    """Whether a line is wanted: first by its bytes, since most are not."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._until = None if wanted.until is None else _sortable(wanted.until.encode())
        parts = []
        if wanted.key is not None:
            parts.append([each[:-1] for each in _spellings(wanted.key)])
        if wanted.event is not None:
            parts.append([b'"event":' + each[:-1] for each in _spellings(wanted.event)])
        if wanted.actor is not None:
            parts.append([b'"actor":' + each for each in _spellings(wanted.actor)])
        self._parts = parts

    def maybe(self, line: _Raw) -> bool:
        return (self._until is None or line.time <= self._until) and all(
            any(part in line.raw for part in spellings) for spellings in self._parts
        )

    def surely(self, record: dict[str, Any]) -> bool:
        key, actor, event = self._wanted.key, self._wanted.actor, self._wanted.event
        named = [record.get("key"), *(record.get("items") or ())]
        return (
            (actor is None or record.get("actor") == actor)
            and (event is None or f"{record['event']}.".startswith(event + "."))
            and (
                key is None
                or any(each == key or (each or "").startswith(key + ":") for each in named)
            )
        )


def _spellings(text: str) -> set[bytes]:
    """A text as it stands in a line: in ASCII, and in UTF-8 as 4.1.0 wrote it."""
    try:
        written = msgspec.json.encode(text)
    except UnicodeEncodeError:  # half a surrogate pair, which no record has
        return set()
    return {written, ascii_json(written)}


def _sortable(text: bytes) -> bytes:
    """A time as text that sorts: with six digits behind the second."""
    whole, _, fraction = text.removesuffix(b"Z").partition(b".")
    return b"%b.%b" % (whole, fraction.ljust(6, b"0"))


# Chains -----------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """Where the next line of a chain ends: in which segment, and at which offset."""

    first: int
    attempt: int
    offset: int


class _Raw(NamedTuple):
    """A line as it stands in its file, and the place before it."""

    time: bytes
    chain: str
    raw: bytes
    place: _Place


def _newest(folder: Path) -> dict[str, _Place]:
    """The places behind all that there is now."""
    places = {}
    for path in chain_folders(folder):
        found = segments(path)
        if found:
            last = found[-1].path
            places[path.name] = _place_in(last, last.stat().st_size)
    return places


def _place_in(path: Path, offset: int) -> _Place:
    return _Place(int(path.name[:20]), int(path.name[21:25]), offset)


def _lines(folder: Path, place: _Place, since: str | None) -> Iterator[_Raw]:
    """The lines of a chain before a place, but for those that a later segment repeats."""
    earliest = b"" if since is None else _sortable(since.encode())
    for segment, next_first in reversed(list(with_next(segments(folder)))):
        here = _place_in(segment.path, 0)
        if here[:2] > place[:2]:
            continue
        end = None
        if here[:2] == place[:2]:
            end = min(place.offset, segment.path.stat().st_size)
        for offset, raw in raw_backwards(segment.path, end):
            behind = raw.find(_TIME, len(_SEQUENCE), len(_SEQUENCE) + 20)
            number = raw[len(_SEQUENCE) : behind]
            if behind < 0 or not number.isdigit() or not raw.startswith(_SEQUENCE):
                continue  # somebody tampered; the rest can be read all the same
            if next_first is not None and int(number) >= next_first:
                continue
            start = behind + len(_TIME)
            when = raw[start : start + _TIME_BYTES]
            if when < earliest:
                return
            yield _Raw(when, folder.name, raw, here._replace(offset=offset))


# Cursors ----------------------------------------------------------------------------------------


def _encoded(places: dict[str, _Place]) -> str:
    """For each chain the beginning of its id, and three numbers of seven bits a byte (LEB128)."""
    content = bytearray()
    for chain, place in places.items():
        content += bytes.fromhex(chain)[:_ID_BYTES]
        for number in place:
            left = number
            while left > 0x7F:
                content.append(0x80 | (left & 0x7F))
                left >>= 7
            content.append(left)
    if len(content) > _MOST_CURSOR_BYTES:
        raise InvalidInputError(
            "too many chains of records are read at once for a search to go on: narrow it by time"
        )
    return b64url_encode(bytes(content))


def _decoded(folder: Path, cursor: str) -> dict[str, _Place]:
    there = {bytes.fromhex(path.name)[:_ID_BYTES]: path.name for path in chain_folders(folder)}
    places = {}
    try:
        content = memoryview(b64url_decode(cursor))
        while content:
            chain, content = bytes(content[:_ID_BYTES]), content[_ID_BYTES:]
            numbers = []
            for _ in _Place._fields:
                size = next(index for index, byte in enumerate(content) if byte < 0x80) + 1
                digits = (byte & 0x7F for byte in reversed(content[:size]))
                numbers.append(reduce(lambda number, digit: number << 7 | digit, digits))
                content = content[size:]
            if chain in there:
                places[there[chain]] = _Place(*numbers)
    except (InvalidKeyError, StopIteration):
        raise InvalidInputError("the cursor is none that a search gave") from None
    return places
