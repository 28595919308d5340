"""Fuzz what reads the header of safetensors files.

    python -m fuzz tensors -max_total_time=60 fuzz/corpus/tensors

The first byte of an input chooses in how many bytes behind it the size of the data stands, one or
two; the rest is the header. A finding is an
error that is not one of ours, or a header that is not read again as it was after it was written.
"""

from __future__ import annotations

from fuzz.running import Reader, chosen, seeds_of
from mycelium_fractal_net.integrations.tensor_header import (
    LENGTH_BYTES,
    TensorInfo,
    parse_tensor_header,
    tensor_header,
)
from mycelium_fractal_net.security.errors import InvalidInputError


def _comes_back(text: bytes, data_bytes: int) -> None:
    metadata, infos = parse_tensor_header(text, data_bytes)
    assert sum(info.nbytes for info in infos.values()) == data_bytes, "a finding: a gap"
    again = tensor_header(infos.items(), metadata)[LENGTH_BYTES:]
    assert parse_tensor_header(again, data_bytes) == (metadata, infos), "a finding: changed"


def few(data: bytes) -> None:
    _comes_back(data[1:], data[0] if data else 0)


def many(data: bytes) -> None:
    _comes_back(data[2:], int.from_bytes(data[:2], "little"))


READERS: tuple[Reader, ...] = (few, many)

one_input = chosen(READERS, InvalidInputError)


def seeds() -> dict[str, bytes]:
    """A header for each reader."""
    infos = [("one", TensorInfo("F16", (2, 3), 0, 12)), ("two", TensorInfo("BF16", (), 12, 2))]
    small = tensor_header(infos, {"made": "here"})[LENGTH_BYTES:]
    large = tensor_header([("x", TensorInfo("U8", (1000,), 0, 1000))], {})[LENGTH_BYTES:]
    return seeds_of(READERS, {few: b"\x0e" + small, many: b"\xe8\x03" + large})
