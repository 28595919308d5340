"""Searches bytes, files and the memory of processes for every form of every marker."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from campaigns.leakage.encodings import forms

_BLOCK_BYTES: Final = 16 << 20
_START_BYTES: Final = 8  # of a form; every one has as many
_SHORTEST: Final = 12  # bytes of a marker
_TABLE_BITS: Final = 20
HALF: Final = "half"
"""The form of one half of a secret that the other half no longer stands beside: what an allocator
leaves of a block that it took back."""


@dataclass(frozen=True)
class Marker:
    """A secret that is looked for, and what kind of secret it is."""

    kind: str
    value: bytes


class Hit(NamedTuple):
    """Where a form of a marker begins."""

    kind: str
    form: str
    offset: int


class _Pattern(NamedTuple):
    content: bytes
    kind: str
    form: str
    before: bytes = b""  # of a half: what stands beside it where the secret is whole
    behind: bytes = b""


class Searcher:
    """Looks for markers in all their forms; with ``halves`` also for halves of raw ones.

    What it costs hardly grows with the number of markers: places where the first four bytes of some
    form could begin are found by a table, and compared in full only where the first eight agree.
    """

    def __init__(self, markers: Iterable[Marker], *, halves: bool = False) -> None:
        self._by_start: dict[int, list[_Pattern]] = {}
        self.longest = 1
        for marker in markers:
            if len(marker.value) < _SHORTEST:
                raise ValueError(f"{marker.kind}: too short to turn up by chance nowhere")
            for form, content in forms(marker.value).items():
                self._add(_Pattern(content, marker.kind, form))
            if halves:
                middle = len(marker.value) // 2
                first, second = marker.value[:middle], marker.value[middle:]
                self._add(_Pattern(first, marker.kind, HALF, behind=second))
                self._add(_Pattern(second, marker.kind, HALF, before=first))
        self._starts = np.array(sorted(self._by_start), dtype="<u8")
        self._table = np.zeros(1 << _TABLE_BITS, dtype=bool)
        self._table[_slots((self._starts & 0xFFFFFFFF).astype("<u4"))] = True

    def _add(self, pattern: _Pattern) -> None:
        start = int.from_bytes(pattern.content[:_START_BYTES], "little")
        self._by_start.setdefault(start, []).append(pattern)
        self.longest = max(self.longest, len(pattern.content))

    def hits(self, data: bytes, until: int | None = None) -> Iterator[Hit]:
        """All that begin before ``until``."""
        for place, start in self._begins(data):
            for each in self._by_start[start]:
                end = place + len(each.content)
                if (
                    (until is None or place < until)
                    and data[place:end] == each.content
                    and not (each.behind and data[end : end + len(each.behind)] == each.behind)
                    and not (
                        each.before
                        and data[max(place - len(each.before), 0) : place] == each.before
                    )
                ):
                    yield Hit(each.kind, each.form, place)

    def _begins(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where eight bytes stand with which some form begins, and what they are as a number."""
        if len(data) < _START_BYTES:
            return
        content = np.frombuffer(data, dtype=np.uint8)
        for shift in range(4):
            words = np.frombuffer(data, "<u4", (len(data) - shift) // 4, shift)
            places = np.flatnonzero(self._table[_slots(words)]) * 4 + shift
            places = places[places <= len(data) - _START_BYTES]
            eight = content[places[:, None] + np.arange(_START_BYTES)].copy().view("<u8").ravel()
            known = np.isin(eight, self._starts)
            yield from zip(places[known].tolist(), eight[known].tolist(), strict=True)

    def file(self, path: Path) -> Iterator[Hit]:
        """All in a file, however large."""
        with path.open("rb") as file:
            start, kept = 0, b""
            while True:
                block = file.read(_BLOCK_BYTES)
                data = kept + block
                until = len(data) if not block else max(len(data) - self.longest, 0)
                for hit in self.hits(data, until):
                    yield hit._replace(offset=hit.offset + start)
                if not block:
                    return
                kept, start = data[until:], start + until

    def folder(self, folder: Path) -> dict[str, Counter[tuple[str, str]]]:
        """The hits by (kind, form) of each file below ``folder`` that has any, names included."""
        found: dict[str, Counter[tuple[str, str]]] = {}
        for path in files_below(folder):
            name = str(path.relative_to(folder))
            count = Counter((hit.kind, hit.form) for hit in self.file(path))
            count.update((hit.kind, hit.form) for hit in self.hits(name.encode()))
            if count:
                found[name] = count
        return found


def files_below(folder: Path) -> Iterator[Path]:
    """Every regular file below ``folder``, links not followed."""
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield path


def by_kind(hits: Iterable[Hit]) -> dict[str, int]:
    """How many there are of each kind, whatever their form."""
    return dict(sorted(Counter(hit.kind for hit in hits).items()))


def by_kind_and_form(hits: Iterable[Hit]) -> dict[str, dict[str, int]]:
    """The same, of each form."""
    found: dict[str, dict[str, int]] = {}
    for hit in hits:
        of_kind = found.setdefault(hit.kind, {})
        of_kind[hit.form] = of_kind.get(hit.form, 0) + 1
    return found


def _slots(words: Any) -> Any:
    """The places of numbers of 32 bits in the table, by Knuth's multiplicative hash."""
    return (words * np.uint32(2654435761)) >> np.uint32(32 - _TABLE_BITS)
