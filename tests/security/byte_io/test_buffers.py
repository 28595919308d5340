"""What counts as bytes: any contiguous buffer of plain data, and nothing else."""

from __future__ import annotations

import array
import mmap

import pytest

from mycelium_fractal_net.security.byte_io import buffers
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import InvalidInputError

numpy = pytest.importorskip("numpy")


@pytest.mark.parametrize(
    "dtype",
    ["u1", "<f8", ">f8", ">i4", "c16", "S5", "U3", "?", "M8[s]", [("O", "i4"), ("x", "f4")]],
)
@pytest.mark.parametrize("shape", [(0,), (4,), (2, 0, 3), (2, 3), ()])
def test_an_array_of_any_plain_type_is_its_bytes(dtype: object, shape: tuple[int, ...]) -> None:
    """Native or not, structured or not, of any shape; the field's name decides nothing."""
    if dtype == "M8[s]":
        data = numpy.zeros(shape, dtype="i8").view("u1") if shape else numpy.zeros(shape, "i8")
    else:
        data = numpy.zeros(shape, dtype=dtype)
    assert bytes(as_bytes(data)) == data.tobytes()


@pytest.mark.parametrize(
    "data", [b"abc", bytearray(b"abc"), memoryview(b"abc"), array.array("I", [1])]
)
def test_the_standard_librarys_buffers_are_their_bytes(data: object) -> None:
    """Without a copy where it is bytes already."""
    assert bytes(as_bytes(data)) == bytes(memoryview(data).cast("B"))  # type: ignore[arg-type]


def test_a_mmap_is_its_bytes() -> None:
    """A mapped file needs no reading."""
    with mmap.mmap(-1, 10) as mapped:
        assert bytes(as_bytes(mapped)) == bytes(10)


@pytest.mark.parametrize(
    "data",
    [
        "text",
        None,
        5,
        [1, 2],
        memoryview(b"abcdef")[::2],
        numpy.zeros((4, 4))[:, ::2],
        numpy.asfortranarray(numpy.zeros((2, 3))),
        numpy.array([object()]),
        numpy.zeros(2, dtype=[("a", "O")]),
    ],
)
def test_what_has_no_plain_bytes_is_refused(data: object) -> None:
    """Text, strides, Fortran order; and Python objects, whose memory is addresses."""
    with pytest.raises(InvalidInputError):
        as_bytes(data)  # type: ignore[arg-type]


def test_scratch_blocks_are_used_again_and_bounded() -> None:
    """A block given back is the next one handed out, and the pool does not grow for ever."""
    block = buffers.scratch()
    buffers.release(block)
    assert buffers.scratch() is block
    given_back = [bytearray(buffers.SCRATCH_BYTES) for _ in range(20)]
    for block in given_back:
        buffers.release(block)
    handed_out = [buffers.scratch() for _ in range(20)]
    assert len({id(block) for block in handed_out}) == 20
    assert sum(any(block is old for old in given_back) for block in handed_out) == 8
    assert all(len(block) == buffers.SCRATCH_BYTES for block in handed_out)
