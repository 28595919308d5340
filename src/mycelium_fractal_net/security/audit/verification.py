"""Whether the chains on this machine are whole, and what was done to those that are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
from msgspec import Meta

from mycelium_fractal_net.security.audit.chain_checker import ChainChecker
from mycelium_fractal_net.security.audit.checkpoints import Checkpoints, Verified
from mycelium_fractal_net.security.audit.folders import chain_folders
from mycelium_fractal_net.security.audit.segments import (
    Torn,
    forwards,
    mac_of_record,
    newest,
    segments,
    with_next,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from mycelium_fractal_net.security.audit.chain import ChainKey
    from mycelium_fractal_net.security.audit.segments import Segment
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.key_store.audit_table import Acknowledged, Anchor, ChainCount


class Head(msgspec.Struct, frozen=True):
    """How far a chain had come once, kept elsewhere. ``mac`` is hexadecimal."""

    chain: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    sequence: Annotated[int, Meta(ge=1)]
    mac: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


def read_heads(content: bytes) -> list[Head]:
    """Heads as ``mfn audit head`` prints them: lines, or with ``--json`` an array.

    Raises :class:`ValueError`.
    """
    if content.lstrip().startswith(b"["):
        return msgspec.json.decode(content, type=list[Head])
    return msgspec.json.Decoder(Head).decode_lines(content)


class ChainFault(NamedTuple):
    """One thing that was done to a chain, and at which record; without a chain, to the store.

    ``acknowledged`` where an operator knows of it.
    """

    chain: str
    sequence: int
    what: str
    acknowledged: Acknowledged | None = None

    def __str__(self) -> str:
        record = f"record {self.sequence}: " if self.sequence else ""
        return f"chain {self.chain}: {record}{self.what}" if self.chain else self.what


@dataclass(slots=True)
class ChainReport:
    """What one chain holds, from the record ``begins`` on, which is 1 where it is whole.

    ``past_anchor`` records lie past what the store was told of, the ``anchor``; that is None
    where the store does not know the chain, or what it says of it was changed. A chain has
    ``ended`` where the process that wrote it last has; else that writes it still, or was killed,
    and somebody could cut off the records past the anchor without a trace.
    """

    chain: str
    anchor: Anchor | None = None
    begins: int = 1
    records: int = 0
    past_anchor: int = 0
    torn_bytes: int = 0
    faults: list[ChainFault] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether no record can be missing at its end."""
        return self.anchor is not None and self.anchor.closed and not self.past_anchor

    def add(self, sequence: int, what: str) -> None:
        """Note a fault."""
        self.faults.append(ChainFault(self.chain, sequence, what))


@dataclass(slots=True)
class AuditReport:
    """What all chains of an audit folder hold; ``elsewhere`` are those of other machines.

    ``before`` are chains of the store before it came from a backup, which are not here: the id of
    each one's audit folder is in its row. ``of_store`` is what is wrong with what the store says
    of all chains.
    """

    chains: list[ChainReport]
    elsewhere: list[str] = field(default_factory=list)
    before: list[Anchor] = field(default_factory=list)
    of_store: list[ChainFault] = field(default_factory=list)

    def _all(self) -> Iterator[ChainFault]:
        yield from self.of_store
        for chain in self.chains:
            yield from chain.faults

    @property
    def faults(self) -> list[ChainFault]:
        """Everything that is wrong and that no operator has acknowledged."""
        return [fault for fault in self._all() if fault.acknowledged is None]

    @property
    def acknowledged(self) -> list[ChainFault]:
        """What is wrong, as an operator knows."""
        return [fault for fault in self._all() if fault.acknowledged is not None]

    def acknowledge(self, acknowledged: Iterable[Acknowledged]) -> None:
        """Note which faults an operator knows of."""
        known = {each[:3]: each for each in acknowledged}
        for faults in (self.of_store, *(chain.faults for chain in self.chains)):
            faults[:] = (fault._replace(acknowledged=known.get(fault[:3])) for fault in faults)

    @property
    def records(self) -> int:
        """How many records were verified."""
        return sum(chain.records for chain in self.chains)


def verify(
    folder: Path,
    store: KeyStore,
    key: ChainKey,
    *,
    heads: Iterable[Head] = (),
    also: Sequence[Path] = (),
    all_here: bool | None = None,
    most_bytes: int | None = None,
    ends_only: bool = False,
    again: bool = False,
) -> AuditReport:
    """Verify every chain in an audit folder, in constant memory.

    What was verified before is written down beside each chain, where the folder takes it, and is
    not parsed again: its bytes are hashed (:mod:`.checkpoints`). With ``again`` it is read whole.

    ``heads`` is what was kept elsewhere. A chain that the store has for this folder, or with
    ``all_here`` any chain that it has, is a fault where it is not there; that is the default for
    a store that is a file, which has one machine. But where the store came from a backup, its
    former chains may have stayed where they were.

    A chain whose first segments were moved away is read from the folders ``also`` as well, which
    are laid out as ``folder``; or it begins after a head that was kept. Otherwise its first
    records were deleted. With ``most_bytes`` only the newest segments of each chain are read,
    up to that size and at least one, and nothing before them is asked for. With ``ends_only`` no
    more of a chain is looked for than the record that the store was told of, whatever its length.

    Raises :class:`OSError` and :class:`StoreError`.
    """
    count = store.chain_count()
    there: dict[str, list[Path]] = {}
    for path in (path for each in (folder, *also) for path in chain_folders(each)):
        there.setdefault(path.name, []).append(path)
    begun = {chain for chain, paths in there.items() if segments(*paths)}
    # Asked for after the folders were listed: a chain that is begun meanwhile is no fault.
    known = {anchor.chain_id: anchor for anchor in store.chains()}
    kept: dict[str, list[Head]] = {}
    for head in heads:
        kept.setdefault(head.chain, []).append(head)
    reports = []
    for chain in sorted(there):
        if chain in known or chain in begun:
            found = segments(*there[chain])
            looked_at = _Chain(chain, known.get(chain), key, kept.pop(chain, []))
            if ends_only:
                reports.append(looked_at.ends(found))
                continue
            checkpoints = Checkpoints(chain, there[chain], key, trusted=not again)
            reports.append(looked_at.verified(found, most_bytes, checkpoints))
            if most_bytes is None:  # who looks at a part, as doctor does, leaves nothing here
                checkpoints.save()
    away = [anchor for chain, anchor in known.items() if chain not in there]
    # Begun before the store was restored, as whoever restored it wrote.
    before = [e for e in away if e.restored_from is not None and key.is_authentic(e)]
    absent = [each for each in away if each.sequence and each not in before]
    path = folder / "machine"
    machine = path.read_text() if path.exists() else ""
    if all_here is None:
        all_here = store.database.file is not None
    missing = {each.chain_id for each in absent if all_here or each.machine == machine}
    elsewhere = [each.chain_id for each in absent if each.chain_id not in missing]
    missing |= kept.keys() - {*elsewhere, *(each.chain_id for each in before)}
    for chain in sorted(missing):
        fault = ChainFault(chain, 0, "the whole chain is missing")
        reports.append(ChainReport(chain, faults=[fault]))
    report = AuditReport(reports, elsewhere, before, _count_faults(count, len(known), key))
    report.acknowledge(each for each in store.acknowledged() if key.is_authentic(each))
    return report


def _count_faults(count: ChainCount | None, known: int, key: ChainKey) -> list[ChainFault]:
    """What is wrong with the number of chains that the store knows."""
    if count is None:
        what = "the store does not say how many chains there are; after an upgrade: mfn init"
    elif not key.is_authentic(count):
        what = "what the store says of the number of chains was changed"
    elif count.chains > known:
        gone = count.chains - known  # and not of how many: that is no other fault tomorrow
        what = f"the store does not know {gone} of the chains any more that were begun"
    else:
        return []
    return [ChainFault("", 0, what)]


class _Chain:
    """One chain while it is verified: what is known of it, and what is found."""

    def __init__(self, chain: str, anchor: Anchor | None, key: ChainKey, heads: list[Head]) -> None:
        self._key = key
        self._heads = heads
        self._report = report = ChainReport(chain)
        if anchor is None:
            report.add(0, "the store does not know this chain")
        elif not key.is_authentic(anchor):
            report.add(anchor.sequence, "what the store says of this chain was changed")
        else:
            report.anchor = anchor

    def ends(self, found: list[Segment]) -> ChainReport:
        """The report, once the record was looked for that the store was told of."""
        report, anchor = self._report, self._report.anchor
        if anchor and anchor.sequence and mac_of_record(found, anchor.sequence) != anchor.mac:
            report.add(anchor.sequence, "the record that the store was told of is not there")
        return report

    def verified(
        self, found: list[Segment], most_bytes: int | None, checkpoints: Checkpoints
    ) -> ChainReport:
        """The report, once all lines were looked at, or those of the newest segments."""
        report, anchor = self._report, self._report.anchor
        former: list[Segment] = []
        if most_bytes is not None:
            former, found = newest(found, most_bytes)
        begins = self._begins(found, former, from_anywhere=most_bytes is not None)
        wanted = {(head.sequence, head.mac): "a head that was kept" for head in self._heads}
        if anchor is not None:
            wanted[anchor.sequence, anchor.mac.hex()] = "what the store was told of"
        wanted = {line: source for line, source in wanted.items() if line[0] >= report.begins}
        checker = ChainChecker(self._key.mac, begins, report.begins - 1)
        last = _check_lines(report, found, checker, wanted, checkpoints)
        for (sequence, _), source in wanted.items():
            if sequence > last:
                report.add(last + 1, f"cut: the records up to {sequence} are missing")
            else:
                report.add(sequence, f"not the record of {source}")
        report.past_anchor = max(0, last - (anchor.sequence if anchor else 0))
        return report

    def _begins(
        self, found: list[Segment], former: list[Segment], *, from_anywhere: bool
    ) -> bytes | None:
        """What the first line hangs on: the chain's beginning, a head, or a line before it."""
        before = found[0].first - 1 if found else 0
        macs = [bytes.fromhex(head.mac) for head in self._heads if head.sequence == before]
        if before and (macs or from_anywhere):
            self._report.begins = before + 1
            return macs[0] if macs else mac_of_record(former, before)
        return self._key.beginning(self._report.chain)


def _check_lines(
    report: ChainReport,
    found: list[Segment],
    checker: ChainChecker,
    wanted: dict[tuple[int, str], str],
    checkpoints: Checkpoints,
) -> int:
    """Check the lines of a chain; takes out of ``wanted`` what is found; the last sequence."""
    told = report.anchor.sequence if report.anchor is not None else 0
    for segment, next_first in with_next(found):
        checker.skip_to(segment.first)
        begins = checker.hangs_on if checker.sequence + 1 == segment.first else None
        verified = Verified(segment, begins)
        stated = checkpoints.of(segment, begins)
        if (
            stated is not None
            and (next_first is None or stated.last < next_first)
            and not any(stated.first <= sequence < stated.last for sequence, _ in wanted)
            and verified.holds(stated)
        ):
            checker.pass_over(stated.last, stated.mac)
            report.records += stated.last - stated.first + 1
            wanted.pop((stated.last, stated.mac.hex()), None)
        for line in forwards(segment.path, verified.size):
            if next_first is not None and checker.sequence + 1 >= next_first:
                break  # repeated in the next segment, where it counts
            if line is None:
                checker.add_damaged()
                verified.end()
            elif isinstance(line, Torn):
                report.torn_bytes = line.size
            else:
                in_order = checker.add(line)
                verified.add(line, in_order=in_order and line.sequence <= told)
                report.records += 1
                wanted.pop((line.sequence, line.mac.hex()), None)
        checkpoints.note(verified)
    checker.finish()
    for fault in checker.faults:
        report.add(*fault)
    return checker.sequence
