"""Checks the lines of a chain, and says of each that is out of order what was done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mycelium_fractal_net.security.audit.chain import Line
    from mycelium_fractal_net.security.key_store.record_mac import Mac

_MOST: Final = 1000  # faults, and gaps, that are told one by one; more help nobody


class ChainChecker:
    """Takes the lines as they stand. ``faults`` are sequences and what is wrong with each.

    ``sequence`` is that of the last line that stood in its place, or behind a gap. The first
    line comes after it and hangs on ``begins``, where that is known.
    """

    def __init__(self, key: Mac, begins: bytes | None, sequence: int = 0) -> None:
        self.sequence = sequence
        self.faults: list[tuple[int, str]] = []
        self._key = key
        # None of it where that is not known.
        self._previous: tuple[bytes, ...] = () if begins is None else (begins,)
        self._missing: list[range] = []
        self._damaged = 0

    @property
    def hangs_on(self) -> bytes | None:
        """What the next line must hang on; None where what is before it is in doubt."""
        return self._previous[0] if len(self._previous) == 1 and not self._damaged else None

    def pass_over(self, last: int, mac: bytes) -> None:
        """Take lines that are known to be in order and to hang on :attr:`hangs_on`."""
        self.sequence, self._previous = last, (mac,)

    def add(self, line: Line) -> bool:
        """Take the next line; returns whether it is the next, and hangs on the one before."""
        in_order = line.sequence == self.sequence + 1 and self.hangs_on is not None
        if self._damaged:
            self._place_damage(line.sequence)
        if line.sequence <= self.sequence:
            self._displaced(line.sequence)
            return False
        self.skip_to(line.sequence)
        previous, self._previous = self._previous, (line.mac,)
        if previous and not any(line.hangs_on(each, self._key) for each in previous):
            self._fault(line.sequence, "edited, or not written with this store's audit key")
            # If the MAC is what was edited, the next line hangs on the one it had.
            self._previous = (line.mac, *(self._key.tag(each + line.signed) for each in previous))
            in_order = False
        self.sequence = line.sequence
        return in_order

    def add_damaged(self) -> None:
        """Take a line that is no record."""
        self._damaged += 1

    def skip_to(self, sequence: int) -> None:
        """Go on with that sequence; what it leaves out is missing, or comes later."""
        if sequence <= self.sequence + 1:
            return
        if len(self._missing) >= _MOST:
            self._tell_missing()
        self._missing.append(range(self.sequence + 1, sequence))
        self.sequence, self._previous = sequence - 1, ()

    def finish(self) -> None:
        """There are no more lines."""
        if self._damaged:
            self._place_damage(self.sequence + 1 + self._damaged)
        self._tell_missing()
        self.faults.sort()

    def _place_damage(self, sequence: int) -> None:
        """Lines that are no record stand before the line of that sequence: in whose place?"""
        count, self._damaged = self._damaged, 0
        if sequence != self.sequence + 1 + count:
            self._fault(self.sequence + 1, "something that is no record stands before it")
            return
        for _ in range(count):
            self.sequence += 1
            self._fault(self.sequence, "edited: it is no record any more")
        self._previous = ()

    def _displaced(self, sequence: int) -> None:
        for index, gap in enumerate(self._missing):
            if sequence in gap:
                rest = (range(gap.start, sequence), range(sequence + 1, gap.stop))
                self._missing[index : index + 1] = [each for each in rest if each]
                self._fault(sequence, f"reordered: it stands behind {self.sequence}")
                return
        self._fault(sequence, f"repeated: it stands behind {self.sequence} once more")

    def _tell_missing(self) -> None:
        for gap in self._missing:
            what = "deleted" if len(gap) == 1 else f"deleted, and all up to {gap[-1]}"
            self._fault(gap.start, what)
        self._missing.clear()

    def _fault(self, sequence: int, what: str) -> None:
        if len(self.faults) < _MOST:
            self.faults.append((sequence, what))
