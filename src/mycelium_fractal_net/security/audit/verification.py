"""Whether the chains on this machine are whole, and what was done to those that are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mycelium_fractal_net.security.audit.chain import beginning
from mycelium_fractal_net.security.audit.following import Follower
from mycelium_fractal_net.security.audit.held_chain import anchor_is_ours
from mycelium_fractal_net.security.audit.places import (
    chains_in,
    mac_of_record,
    newest,
    segments_in,
)
from mycelium_fractal_net.security.audit.segments import Damaged, Torn, forwards

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mycelium_fractal_net.security.audit.segments import Segment
    from mycelium_fractal_net.security.key_store.audit_table import Anchor
    from mycelium_fractal_net.security.key_store.authority import Mac


class Head(NamedTuple):
    """How far a chain had come once, kept elsewhere. ``mac`` is hexadecimal."""

    chain: str
    sequence: int
    mac: str


class Fault(NamedTuple):
    """One thing that was done to a chain, and at which record."""

    chain: str
    sequence: int
    what: str


@dataclass(slots=True)
class ChainReport:
    """What one chain holds, from the record ``begins`` on, which is 1 where it is whole.

    ``past_anchor`` records lie past what the store was told of, the ``anchor``; that is None
    where the store does not know the chain, or what it says of it was changed.
    """

    chain: str
    anchor: Anchor | None = None
    begins: int = 1
    records: int = 0
    past_anchor: int = 0
    torn_bytes: int = 0
    faults: list[Fault] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What all chains of an audit folder hold; ``elsewhere`` are those of other machines.

    ``before`` are chains of the store before it came from a backup, which are not here: the id of
    each one's audit folder is in its row.
    """

    chains: list[ChainReport]
    elsewhere: list[str] = field(default_factory=list)
    before: list[Anchor] = field(default_factory=list)

    @property
    def faults(self) -> list[Fault]:
        """Everything that is wrong; empty where nothing is."""
        return [fault for chain in self.chains for fault in chain.faults]

    @property
    def records(self) -> int:
        """How many records were verified."""
        return sum(chain.records for chain in self.chains)


def verify(
    folder: Path,
    anchors: Iterable[Anchor],
    store_id: bytes,
    key: Mac,
    *,
    heads: Iterable[Head] = (),
    also: Sequence[Path] = (),
    all_here: bool = False,
    most_bytes: int | None = None,
) -> Report:
    """Verify every chain in an audit folder, in constant memory.

    ``anchors`` is what the store knows; it is gone through after the folders were listed, so
    that a chain that is begun meanwhile is no fault. ``heads`` is what was kept elsewhere. A
    chain that the store has for this folder, or with ``all_here`` any chain that it has, is a
    fault where it is not there; but where the store came from a backup, its former chains may have
    stayed where they were.

    A chain whose first segments were moved away is read from the folders ``also`` as well, which
    are laid out as ``folder``; or it begins after a head that was kept. Otherwise its first
    records were deleted. With ``most_bytes`` only the newest segments of each chain are read,
    up to that size and at least one, and nothing before them is asked for.

    Raises :class:`OSError`.
    """
    places = (folder, *also)
    begun = {chain for chain, folders in chains_in(places).items() if segments_in(folders)}
    known = {anchor.chain_id: anchor for anchor in anchors}
    kept: dict[str, list[Head]] = {}
    for head in heads:
        kept.setdefault(head.chain, []).append(head)
    there = {
        chain: folders
        for chain, folders in chains_in(places).items()
        if chain in known or chain in begun
    }
    reports = [
        _chain(
            ChainReport(chain), segments_in(folders), known.get(chain), store_id, key,
            kept.pop(chain, []), most_bytes,
        )
        for chain, folders in sorted(there.items())
    ]  # fmt: skip
    path = folder / "machine"
    machine = path.read_text() if path.exists() else ""
    away = [each for each in known.values() if each.chain_id not in there]
    before = [each for each in away if _before_restore(each, store_id, key)]
    absent = [each for each in away if each.sequence and each not in before]
    missing = {each.chain_id for each in absent if all_here or each.machine == machine}
    elsewhere = [each.chain_id for each in absent if each.chain_id not in missing]
    stayed = {*elsewhere, *(each.chain_id for each in before)}
    missing.update(chain for chain in kept if chain not in stayed)
    reports.extend(_missing(chain) for chain in sorted(missing))
    return Report(reports, elsewhere, before)


def _before_restore(anchor: Anchor, store_id: bytes, key: Mac) -> bool:
    """Whether the chain was begun before the store was restored, as whoever restored it wrote."""
    return anchor.restored_from is not None and anchor_is_ours(anchor, store_id, key)


def _missing(chain: str) -> ChainReport:
    report = ChainReport(chain)
    report.faults.append(Fault(chain, 0, "the whole chain is missing"))
    return report


def _chain(
    report: ChainReport,
    found: list[Segment],
    anchor: Anchor | None,
    store_id: bytes,
    key: Mac,
    heads: list[Head],
    most_bytes: int | None,
) -> ChainReport:
    def fault(sequence: int, what: str) -> None:
        report.faults.append(Fault(report.chain, sequence, what))

    if anchor is None:
        fault(0, "the store does not know this chain")
    elif not anchor_is_ours(anchor, store_id, key):
        fault(anchor.sequence, "what the store says of this chain was changed")
    else:
        report.anchor = anchor
    begins: bytes | None = beginning(store_id, report.chain, key)
    former: list[Segment] = []
    if most_bytes is not None:
        former, found = newest(found, most_bytes)
    before = found[0].first - 1 if found else 0
    if before:
        kept = [bytes.fromhex(head.mac) for head in heads if head.sequence == before]
        if kept or most_bytes is not None:
            report.begins = before + 1
            begins = kept[0] if kept else mac_of_record(former, before)
    wanted = {(head.sequence, head.mac): "a head that was kept" for head in heads}
    if report.anchor is not None:
        wanted[(report.anchor.sequence, report.anchor.mac.hex())] = "what the store was told of"
    wanted = {place: source for place, source in wanted.items() if place[0] >= report.begins}
    last = _lines(report, found, Follower(key, begins, report.begins - 1), wanted)
    for (sequence, _), source in wanted.items():
        if sequence > last:
            fault(last + 1, f"cut: the records up to {sequence} are missing")
        else:
            fault(sequence, f"not the record of {source}")
    report.past_anchor = max(0, last - (report.anchor.sequence if report.anchor else 0))
    return report


def _lines(
    report: ChainReport,
    found: list[Segment],
    follower: Follower,
    wanted: dict[tuple[int, str], str],
) -> int:
    """Follow the lines of a chain; takes out of ``wanted`` what is found; the last sequence."""
    for place, segment in enumerate(found):
        following = found[place + 1].first if place + 1 < len(found) else None
        follower.skip_to(segment.first)
        for line in forwards(segment.path):
            if following is not None and follower.sequence + 1 >= following:
                break  # repeated in the next segment, where it counts
            if isinstance(line, Damaged):
                follower.damaged()
            elif isinstance(line, Torn):
                report.torn_bytes = line.size
            else:
                follower.line(line)
                report.records += 1
                wanted.pop((line.sequence, line.mac.hex()), None)
    follower.end()
    report.faults.extend(Fault(report.chain, *fault) for fault in follower.faults)
    return follower.sequence
