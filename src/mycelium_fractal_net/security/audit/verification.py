"""Whether the chains on this machine are whole, and what was done to those that are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mycelium_fractal_net.security.audit.chain import beginning
from mycelium_fractal_net.security.audit.following import Follower
from mycelium_fractal_net.security.audit.held_chain import anchor_is_ours, chain_folders
from mycelium_fractal_net.security.audit.segments import Damaged, Torn, forwards, segments

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mycelium_fractal_net.security.key_store.audit_table import Anchor
    from mycelium_fractal_net.security.key_store.authority import Mac

__all__ = ["ChainReport", "Fault", "Head", "Report", "verify"]


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
    """What one chain holds. ``past_anchor`` records lie past what the store was told of."""

    chain: str
    records: int = 0
    past_anchor: int = 0
    torn_bytes: int = 0
    faults: list[Fault] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What all chains of an audit folder hold."""

    chains: list[ChainReport]

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
) -> Report:
    """Verify every chain in an audit folder, in constant memory.

    ``anchors`` is what the store knows, ``heads`` what was kept elsewhere. A chain that the
    store has for this folder and that is not there is a fault. Raises :class:`OSError`.
    """
    known = {anchor.chain_id: anchor for anchor in anchors}
    path = folder / "machine"
    machine = path.read_text() if path.exists() else ""
    kept: dict[str, list[Head]] = {}
    for head in heads:
        kept.setdefault(head.chain, []).append(head)
    reports = [
        _chain(chain, known.get(chain.name), store_id, key, kept.pop(chain.name, []))
        for chain in chain_folders(folder)
    ]
    there = {report.chain for report in reports}
    for anchor in known.values():
        if anchor.machine == machine and anchor.chain_id not in there and anchor.sequence:
            reports.append(_missing(anchor.chain_id, anchor.sequence))
            there.add(anchor.chain_id)
    reports.extend(
        _missing(chain, found[0].sequence) for chain, found in kept.items() if chain not in there
    )
    return Report(reports)


def _missing(chain: str, sequence: int) -> ChainReport:
    report = ChainReport(chain)
    report.faults.append(Fault(chain, sequence, "the whole chain is missing"))
    return report


def _chain(
    folder: Path, anchor: Anchor | None, store_id: bytes, key: Mac, heads: list[Head]
) -> ChainReport:
    report = ChainReport(folder.name)

    def fault(sequence: int, what: str) -> None:
        report.faults.append(Fault(folder.name, sequence, what))

    if anchor is None:
        fault(0, "the store does not know this chain")
    elif not anchor_is_ours(anchor, store_id, key):
        fault(anchor.sequence, "what the store says of this chain was changed")
        anchor = None
    wanted = {(head.sequence, head.mac): "a head that was kept" for head in heads}
    if anchor is not None and anchor.sequence:
        wanted[(anchor.sequence, anchor.mac.hex())] = "what the store was told of"
    last = _lines(report, folder, beginning(store_id, folder.name, key), key, wanted)
    for (sequence, _), source in wanted.items():
        if sequence > last:
            fault(last + 1, f"cut: the records up to {sequence} are missing")
        else:
            fault(sequence, f"not the record of {source}")
    report.past_anchor = max(0, last - (anchor.sequence if anchor is not None else 0))
    return report


def _lines(
    report: ChainReport, folder: Path, begins: bytes, key: Mac, wanted: dict[tuple[int, str], str]
) -> int:
    """Follow the lines of a chain; takes out of ``wanted`` what is found; the last sequence."""
    follower = Follower(key, begins)
    found = segments(folder)
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
