"""A reader with a fault that only coverage leads to: the control of the fuzzing campaign.

    python -m fuzz planted -runs=2000000 FOLDER

Four bytes in a row are one in 2^32 by chance; byte by byte they are found within seconds.
"""

from __future__ import annotations

WORD = b"\x9c\x3a\xe7\x51"


def one_input(data: bytes) -> None:
    """Raises for an input that begins with the word."""
    reached = 0
    for byte, wanted in zip(data, WORD, strict=False):
        if byte != wanted:
            return
        reached += 1
        if reached == 1:
            continue
        if reached == 2:
            continue
        if reached == 3:
            continue
        raise AssertionError("a finding: the planted one")
