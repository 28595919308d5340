"""A process that leaks on purpose, as a control of what looks for leaks; ends with its input.

python -m campaigns.load.leaking BYTES DESCRIPTORS

Each second it takes so many bytes, which it writes to, and opens so many descriptors (fractions
of one add up). It gives nothing back.
"""

from __future__ import annotations

import os
import select
import sys


def main() -> None:
    """Leak until standard input ends."""
    size, rate = int(sys.argv[1]), float(sys.argv[2])
    kept: list[bytes] = []
    due = 0.0
    while not select.select([sys.stdin], [], [], 1.0)[0]:
        kept.append(os.urandom(size))
        due += rate
        while due >= 1:
            os.open("/dev/null", os.O_RDONLY)
            due -= 1


if __name__ == "__main__":
    main()
