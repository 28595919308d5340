"""Where the segments of chains lie: in the audit folder, and where old ones were moved to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.security.audit.held_chain import chain_folders
from mycelium_fractal_net.security.audit.segments import backwards, segments

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mycelium_fractal_net.security.audit.segments import Segment


def chains_in(places: Iterable[Path]) -> dict[str, list[Path]]:
    """The folders of each chain, in the order of ``places``."""
    found: dict[str, list[Path]] = {}
    for place in places:
        for path in chain_folders(place):
            found.setdefault(path.name, []).append(path)
    return found


def segments_in(folders: Iterable[Path]) -> list[Segment]:
    """The segments of one chain in order; one that was copied and not moved counts once."""
    found: dict[tuple[int, int], Segment] = {}
    for folder in folders:
        for segment in segments(folder):
            found.setdefault((segment.first, segment.attempt), segment)
    return [found[place] for place in sorted(found)]


def newest(found: list[Segment], most_bytes: int) -> tuple[list[Segment], list[Segment]]:
    """The last segments that have no more than ``most_bytes`` together, at least one.

    Returns those before them as well, first.
    """
    size = 0
    for place in range(len(found) - 1, -1, -1):
        size += found[place].path.stat().st_size
        if size > most_bytes:
            cut = min(place + 1, len(found) - 1)
            return found[:cut], found[cut:]
    return [], found


def mac_of_record(found: list[Segment], sequence: int) -> bytes | None:
    """The MAC that stands in that record, the last of ``found``; None where it is not there."""
    lines = (line for segment in reversed(found) for line in backwards(segment.path))
    last = next((line for line in lines if line.sequence <= sequence), None)
    return last.mac if last is not None and last.sequence == sequence else None
