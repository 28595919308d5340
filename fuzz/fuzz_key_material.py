"""Fuzz what reads the wrapped keys beside a Parquet file.

    python -m fuzz key_material -max_total_time=60 fuzz/corpus/key_material

The first byte of an input chooses nothing but is there, as in every target. A finding is an error
that is not one of ours, a key that is passed over, or one that is changed where none was moved.
"""

from __future__ import annotations

import json

from fuzz.running import Reader, chosen, seeds_of
from mycelium_fractal_net.integrations.key_material import rewrapped
from mycelium_fractal_net.security.errors import InvalidInputError


def material(data: bytes) -> None:
    seen: list[bytes] = []

    def unmoved(message: bytes) -> bytes:
        seen.append(message)
        return message

    again = rewrapped(data, unmoved)
    assert rewrapped(again, lambda message: message) == again, "a finding: changed"
    found = json.loads(again)
    assert bool(seen) == bool(found), "a finding: a key that was passed over"


READERS: tuple[Reader, ...] = (material,)

one_input = chosen(READERS, InvalidInputError)


def seeds() -> dict[str, bytes]:
    """Keys that named keys wrap, and one that a key-encryption key does."""
    plain = {"keyMaterialType": "PKMT1", "masterKeyID": "k", "doubleWrapping": False}
    entries = {
        "footerKey": json.dumps(plain | {"wrappedDEK": "AAAA"}),
        "columnKey0": json.dumps(
            plain | {"doubleWrapping": True, "wrappedKEK": "AAEC", "wrappedDEK": "AAAA"}
        ),
    }
    return seeds_of(READERS, {material: json.dumps(entries).encode()})
