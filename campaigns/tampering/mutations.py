"""Changes of bytes: each bit, each cut, each byte gone or doubled, blocks that change places."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

BLOCK_BYTES: Final = 16  # of the cipher
_MOST_BLOCKS: Final = 64


class Change(NamedTuple):
    """One change: ``bit``, ``cut``, ``removed``, ``doubled`` or ``swapped``, and where."""

    kind: str
    at: int
    other: int = 0  # of a bit its number, of a block the other one

    def of(self, data: bytes) -> bytes:
        """``data`` so changed."""
        at = self.at
        if self.kind == "bit":
            return data[:at] + bytes([data[at] ^ 1 << self.other]) + data[at + 1 :]
        if self.kind == "cut":
            return data[:at]
        if self.kind == "removed":
            return data[:at] + data[at + 1 :]
        if self.kind == "doubled":
            return data[: at + 1] + data[at:]
        blocks = [data[each : each + BLOCK_BYTES] for each in range(0, len(data), BLOCK_BYTES)]
        blocks[at], blocks[self.other] = blocks[self.other], blocks[at]
        return b"".join(blocks)


def every_change(data: bytes) -> Iterator[Change]:
    """Each single change, none of which leaves ``data`` as it is.

    Of equal bytes in a row one is removed and doubled: the others would be the same again. Blocks
    change places with each other block, of more than 64 with the next one alone.
    """
    for at in range(len(data)):
        yield from (Change("bit", at, bit) for bit in range(8))
    yield from (Change("cut", size) for size in range(len(data)))
    for at in range(len(data)):
        if data[at : at + 1] != data[at + 1 : at + 2]:
            yield Change("removed", at)
            yield Change("doubled", at)
    count = -(-len(data) // BLOCK_BYTES)
    for one in range(count):
        last = count if count <= _MOST_BLOCKS else min(one + 2, count)
        for other in range(one + 1, last):
            change = Change("swapped", one, other)
            if change.of(data) != data:
                yield change


def sampled(data: bytes, count: int, seed: int) -> list[Change]:
    """About so many of the changes, at random."""
    chance, found = random.Random(seed), []
    for _ in range(count):
        at, kind = chance.randrange(len(data)), chance.choice(("bit", "cut", "removed", "doubled"))
        change = Change(kind, at, chance.randrange(8) if kind == "bit" else 0)
        if change.of(data) != data:
            found.append(change)
    return found


def any_change(data: bytes, chance: random.Random) -> bytes:
    """One to four changes at random: as above, and bytes set, inserted, spliced and repeated."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(changed) + 1)
        size = chance.choice((1, 1, 4, 8, 16, 32))
        kind = chance.randrange(7)
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << chance.randrange(8)
        elif kind == 1 and changed:
            changed[at % len(changed)] = chance.randrange(256)
        elif kind == 2:
            del changed[at:]
        elif kind == 3:
            del changed[at : at + size]
        elif kind == 4:
            changed[at:at] = chance.randbytes(size)
        elif kind == 5:
            changed[at:at] = changed[at : at + size]
        else:
            other = chance.randrange(len(changed) + 1)
            one, two = changed[at : at + size], changed[other : other + size]
            changed[at : at + len(two)] = two
            changed[other : other + len(one)] = one
    return bytes(changed)
