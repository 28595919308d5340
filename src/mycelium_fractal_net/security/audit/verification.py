"""Whether the chains on this machine are whole, and what was done to those that are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mycelium_fractal_net.security.audit.chain import ChainKey
from mycelium_fractal_net.security.audit.chain_checker import ChainChecker
from mycelium_fractal_net.security.audit.folders import folders_by_chain
from mycelium_fractal_net.security.audit.segments import (
    Damaged,
    Torn,
    forwards,
    mac_of_record,
    newest,
    segments_in,
    with_next,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mycelium_fractal_net.security.audit.segments import Segment
    from mycelium_fractal_net.security.key_store.audit_table import Anchor
    from mycelium_fractal_net.security.key_store.record_mac import Mac


class Head(NamedTuple):
    """How far a chain had come once, kept elsewhere. ``mac`` is hexadecimal."""

    chain: str
    sequence: int
    mac: str


class ChainFault(NamedTuple):
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
    faults: list[ChainFault] = field(default_factory=list)

    def add(self, sequence: int, what: str) -> None:
        """Note a fault."""
        self.faults.append(ChainFault(self.chain, sequence, what))


@dataclass(slots=True)
class AuditReport:
    """What all chains of an audit folder hold; ``elsewhere`` are those of other machines.

    ``before`` are chains of the store before it came from a backup, which are not here: the id of
    each one's audit folder is in its row.
    """

    chains: list[ChainReport]
    elsewhere: list[str] = field(default_factory=list)
    before: list[Anchor] = field(default_factory=list)

    @property
    def faults(self) -> list[ChainFault]:
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
) -> AuditReport:
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
    chain_key = ChainKey(store_id, key)
    known, there = _chains((folder, *also), anchors)
    kept: dict[str, list[Head]] = {}
    for head in heads:
        kept.setdefault(head.chain, []).append(head)
    reports = [
        _chain_report(
            chain, segments_in(found), known.get(chain), chain_key, kept.pop(chain, []), most_bytes
        )
        for chain, found in there.items()
    ]
    away = [anchor for chain, anchor in known.items() if chain not in there]
    # Begun before the store was restored, as whoever restored it wrote.
    before = [e for e in away if e.restored_from is not None and chain_key.is_authentic(e)]
    absent = [each for each in away if each.sequence and each not in before]
    of_this_machine = _of_this_machine(folder, absent, all_here)
    elsewhere = [each.chain_id for each in absent if each.chain_id not in of_this_machine]
    elsewhere_or_before = {*elsewhere, *(each.chain_id for each in before)}
    for chain in sorted(of_this_machine | (kept.keys() - elsewhere_or_before)):
        fault = ChainFault(chain, 0, "the whole chain is missing")
        reports.append(ChainReport(chain, faults=[fault]))
    return AuditReport(reports, elsewhere, before)


def _chains(
    folders: Sequence[Path], anchors: Iterable[Anchor]
) -> tuple[dict[str, Anchor], dict[str, list[Path]]]:
    """The chains that the store knows, and the folders of those that are here, in order.

    One that holds nothing yet, and that the store does not know, is not there.
    """
    begun = {chain for chain, found in folders_by_chain(folders).items() if segments_in(found)}
    known = {anchor.chain_id: anchor for anchor in anchors}
    found = sorted(folders_by_chain(folders).items())
    return known, {chain: paths for chain, paths in found if chain in known or chain in begun}


def _of_this_machine(folder: Path, absent: Iterable[Anchor], all_here: bool) -> set[str]:
    """Those that should be in the folder."""
    path = folder / "machine"
    machine = path.read_text() if path.exists() else ""
    return {each.chain_id for each in absent if all_here or each.machine == machine}


def _chain_report(
    chain: str,
    found: list[Segment],
    anchor: Anchor | None,
    key: ChainKey,
    heads: list[Head],
    most_bytes: int | None,
) -> ChainReport:
    report = ChainReport(chain)
    if anchor is None:
        report.add(0, "the store does not know this chain")
    elif not key.is_authentic(anchor):
        report.add(anchor.sequence, "what the store says of this chain was changed")
    else:
        report.anchor = anchor
    begins: bytes | None = key.beginning(chain)
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
    wanted = {line: source for line, source in wanted.items() if line[0] >= report.begins}
    last = _check_lines(report, found, ChainChecker(key.mac, begins, report.begins - 1), wanted)
    for (sequence, _), source in wanted.items():
        if sequence > last:
            report.add(last + 1, f"cut: the records up to {sequence} are missing")
        else:
            report.add(sequence, f"not the record of {source}")
    report.past_anchor = max(0, last - (report.anchor.sequence if report.anchor else 0))
    return report


def _check_lines(
    report: ChainReport,
    found: list[Segment],
    checker: ChainChecker,
    wanted: dict[tuple[int, str], str],
) -> int:
    """Check the lines of a chain; takes out of ``wanted`` what is found; the last sequence."""
    for segment, next_first in with_next(found):
        checker.skip_to(segment.first)
        for line in forwards(segment.path):
            if next_first is not None and checker.sequence + 1 >= next_first:
                break  # repeated in the next segment, where it counts
            if isinstance(line, Damaged):
                checker.add_damaged()
            elif isinstance(line, Torn):
                report.torn_bytes = line.size
            else:
                checker.add(line)
                report.records += 1
                wanted.pop((line.sequence, line.mac.hex()), None)
    checker.finish()
    for fault in checker.faults:
        report.add(*fault)
    return checker.sequence
