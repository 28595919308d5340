"""Sealed safetensors: what the library reads and writes, tensor by tensor."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy
import pytest
from safetensors import numpy as reference

from mycelium_fractal_net.integrations.safetensors import SealedTensors, save_tensors
from mycelium_fractal_net.integrations.tensor_header import TensorInfo
from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring

TENSORS: dict[str, Any] = {
    "weight": numpy.arange(40_000, dtype="<f4").reshape(200, 200),
    "turned": numpy.asfortranarray(numpy.arange(6, dtype="<i8").reshape(2, 3)),
    "half": numpy.ones(5, "<f2"),
    "flags": numpy.array([True, False]),
    "none": numpy.zeros((0, 4), "<u2"),
    "one": numpy.array(3.0),
}


def sealed(keyring: Keyring, plain: bytes) -> io.BytesIO:
    return io.BytesIO(keyring.encrypt(plain, key_id="orders"))


def file_of(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_what_the_library_wrote_is_read_by_tensor(keyring: Keyring) -> None:
    """Each alone, in any order. What is in Fortran order, the library writes as it lies."""
    straight = {name: numpy.array(array, order="C") for name, array in TENSORS.items()}
    plain = reference.save(straight, metadata={"made": "here"})
    tensors = SealedTensors(keyring, sealed(keyring, plain))
    assert sorted(tensors) == sorted(TENSORS)
    assert tensors.metadata == {"made": "here"}
    assert "weight" in tensors
    assert repr(tensors) == "<SealedTensors, 6 of them>"
    for name in reversed(list(TENSORS)):
        assert tensors[name].dtype == TENSORS[name].dtype
        assert numpy.array_equal(tensors[name], TENSORS[name])
    info = tensors.info("half")
    assert (info.dtype, info.shape, info.nbytes) == ("F16", (5,), 10)
    tensors.close()


def test_what_is_written_is_read_by_the_library(keyring: Keyring) -> None:
    """After it was opened whole; big-endian numbers are turned."""
    file = io.BytesIO()
    big = {"big": numpy.arange(3, dtype=">i4")}
    save_tensors(keyring, file, TENSORS | big, metadata={"made": "here"}, key_id="orders")
    found = reference.load(keyring.decrypt(file.getvalue()))
    assert sorted(found) == sorted(TENSORS | big)
    assert all(numpy.array_equal(found[name], (TENSORS | big)[name]) for name in found)
    with pytest.raises(InvalidInputError, match="no such name"):
        save_tensors(keyring, io.BytesIO(), {"__metadata__": big["big"]}, key_id="orders")
    with pytest.raises(InvalidInputError, match="no such type"):
        save_tensors(keyring, io.BytesIO(), {"text": numpy.array(["a"])}, key_id="orders")


def test_types_that_numpy_lacks_are_read_into_memory(keyring: Keyring) -> None:
    """As torch has it: any buffer of the right size."""
    header = {"x": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}
    tensors = SealedTensors(keyring, sealed(keyring, file_of(header, b"abcdef")))
    assert tensors.info("x") == TensorInfo("BF16", (3,), 0, 6)
    with pytest.raises(InvalidInputError, match="read_into"):
        tensors["x"]
    header = {"x": {"dtype": "U8", "shape": [0, 1 << 70], "data_offsets": [0, 0]}}
    with pytest.raises(InvalidInputError, match="of that shape"):
        SealedTensors(keyring, sealed(keyring, file_of(header)))["x"]
    memory = numpy.zeros(6, "u1")
    tensors.read_into("x", memory)
    assert memory.tobytes() == b"abcdef"
    with pytest.raises(InvalidInputError, match="6 bytes"):
        tensors.read_into("x", bytearray(7))
    with pytest.raises(KeyError):
        tensors.read_into("y", memory)


def entry(*offsets: int, dtype: str = "U8", shape: Any = None) -> dict[str, Any]:
    shape = [offsets[-1] - offsets[0]] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"text that is longer than that",
        file_of(b"{"),
        file_of([1]),
        file_of({"x": 1}),
        file_of({"x": entry(0, 2)}, b"1"),
        file_of({"x": entry(0, 1)}, b"12"),
        file_of({"x": entry(0, 2), "y": entry(1, 3)}, b"123"),
        file_of({"x": entry(0, 1), "y": entry(2, 3)}, b"123"),
        file_of({"x": entry(0, 2, shape=[3])}, b"12"),
        file_of({"x": entry(0, 2, shape=[True, 2])}, b"12"),
        file_of({"x": entry(0, 2, dtype="X")}, b"12"),
        file_of({"x": entry(0, 2, shape=[-1, -2])}, b"12"),
        file_of({"x": entry(0, 1, 1)}, b"1"),
        file_of(b'{"x":1,"x":2}'),
        file_of(b'{"x":' + b"[" * 100_000),
        file_of({"x": {"dtype": "U8", "shape": {}, "data_offsets": [0, 1]}}, b"1"),
        file_of({"__metadata__": {"x": 1}}),
        file_of(b'{"__metadata__":{"x":NaN}}'),
        file_of(b'{"\\ud800":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}', b"1"),
        file_of(b" {}"),
        (1 << 62).to_bytes(8, "little") + b"{}",
    ],
)
def test_what_is_no_such_file_is_refused(keyring: Keyring, plain: bytes) -> None:
    """Gaps, overlaps, names given twice, sizes that do not fit."""
    with pytest.raises(InvalidInputError, match="no tensors"):
        SealedTensors(keyring, sealed(keyring, plain))
