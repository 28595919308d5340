"""Arrays in sealed files: as numpy writes them, and read in part."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy
import pytest

from mycelium_fractal_net.integrations.numpy import (
    SealedArray,
    buffer_of,
    load_array,
    open_array,
    save_array,
    seal_array,
)
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError
from mycelium_fractal_net.security.records.open_options import OpenOptions

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring

NUMBERS = numpy.arange(60_000, dtype="<f8").reshape(300, 200)
ARRAYS: dict[str, Any] = {
    "C order": NUMBERS,
    "Fortran order": numpy.asfortranarray(NUMBERS),
    "strided": NUMBERS[::2, ::3],
    "reversed": NUMBERS[::-1],
    "datetime64": numpy.arange("2026-01", "2026-12", dtype="datetime64[D]"),
    "big-endian": NUMBERS.astype(">i4"),
    "records": numpy.zeros(7, dtype=[("id", "<u4"), ("name", "U5")]),
    "half": NUMBERS.astype("<f2"),
    "text": numpy.array(["a", "bc"]),
    "empty": numpy.zeros((0, 3)),
    "one number": numpy.array(2.5),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_comes_back(keyring: Keyring, kind: str) -> None:
    """With its type, shape and order; what is sealed is what ``numpy.save`` writes."""
    array = ARRAYS[kind]
    message = seal_array(keyring, array, key_id="orders", associated_data=b"x")
    found = open_array(keyring, message, OpenOptions(b"x"))
    assert found.dtype == array.dtype
    assert numpy.array_equal(found, array)
    assert found.flags.f_contiguous == array.flags.f_contiguous
    plain = io.BytesIO(keyring.decrypt(message, associated_data=b"x"))
    assert numpy.array_equal(numpy.load(plain), array)
    with pytest.raises(DecryptionError):
        open_array(keyring, message)


def test_what_lies_together_is_not_copied() -> None:
    """In C order, in Fortran order, and of types that the buffer protocol does not know."""
    for kind in ("C order", "Fortran order", "datetime64", "records"):
        assert numpy.shares_memory(numpy.asarray(buffer_of(ARRAYS[kind])), ARRAYS[kind])
    assert not numpy.shares_memory(numpy.asarray(buffer_of(NUMBERS[::2])), NUMBERS)
    assert bytes(buffer_of(NUMBERS[::2])) == NUMBERS[::2].tobytes()


def test_objects_are_refused(keyring: Keyring) -> None:
    """They would be pickled, and who opens a pickle runs what is in it."""
    with pytest.raises(InvalidInputError, match="give it a type"):
        seal_array(keyring, numpy.array([object()]), key_id="orders")
    pickled = io.BytesIO()
    numpy.save(pickled, numpy.array([{}]), allow_pickle=True)
    message = keyring.encrypt(pickled.getvalue(), key_id="orders")
    with pytest.raises(InvalidInputError, match="plain data"):
        open_array(keyring, message)


def test_rows_are_read_by_themselves(keyring: Keyring, tmp_path: Path) -> None:
    """Of an array in C order only the chunks that they lie in."""
    with (tmp_path / "a").open("wb") as file:
        save_array(keyring, file, NUMBERS, key_id="orders")
    with (tmp_path / "a").open("rb") as file:
        array = SealedArray(keyring, file)
        assert (array.shape, array.dtype, len(array)) == ((300, 200), NUMBERS.dtype, 300)
        assert repr(array) == "<SealedArray of float64 (300, 200)>"
        assert numpy.array_equal(array[100:110], NUMBERS[100:110])
        assert numpy.array_equal(array[-1], NUMBERS[-1])
        assert array[5:2].shape == (0, 200)
        assert numpy.array_equal(numpy.asarray(array), NUMBERS)
        assert numpy.asarray(array, dtype="i4").dtype == numpy.dtype("i4")
        with pytest.raises(ValueError, match="no memory"):
            numpy.asarray(array, copy=False)
        with pytest.raises(InvalidInputError, match="step"):
            array[::2]
        with pytest.raises(IndexError):
            array[300]
        array.close()


def test_rows_of_fortran_order_and_of_no_dimension(keyring: Keyring) -> None:
    """The former are read whole; the latter has none."""
    turned = seal_array(keyring, ARRAYS["Fortran order"], key_id="orders")
    assert numpy.array_equal(SealedArray(keyring, io.BytesIO(turned))[3:5], NUMBERS[3:5])
    one = SealedArray(
        keyring, io.BytesIO(seal_array(keyring, ARRAYS["one number"], key_id="orders"))
    )
    with pytest.raises(TypeError, match="no length"):
        len(one)


def test_what_holds_no_array_is_refused(keyring: Keyring) -> None:
    """Also one whose data is shorter than it says."""
    whole = keyring.decrypt(seal_array(keyring, NUMBERS, key_id="orders"))
    for plain in (b"", b"text", whole[:-1], whole[:60], b"\x93NUMPY\x09\x00" + whole[8:]):
        message = io.BytesIO(keyring.encrypt(plain, key_id="orders"))
        with pytest.raises(InvalidInputError, match="no array"):
            load_array(keyring, message)


def npy_of(header: bytes, data: bytes = b"") -> bytes:
    """A file of that header, as text, and the data behind it."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def npy_header(shape: str, dtype: str = "'<f8'") -> bytes:
    """The header that numpy writes."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}\n"
    return text.encode()


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"\x93NUMPY\x09\x00",
        npy_of(b"(" * 9000),
        npy_of(npy_header("()", "('<f8',)")),
        npy_of(npy_header("(1,), []: 1")),
        npy_of(npy_header("(-1, -8)"), bytes(64)),
        npy_of(npy_header("(2,)"), bytes(15)),
        npy_of(npy_header("(2,)"), bytes(17)),
        npy_of(npy_header("(1,)", "[('a', 'O')]"), bytes(8)),
    ],
)
def test_what_is_no_array_is_refused(keyring: Keyring, plain: bytes) -> None:
    """In the same words whatever numpy's parser raises for it; it raises six kinds of errors."""
    with pytest.raises(InvalidInputError, match="holds no array"):
        open_array(keyring, keyring.encrypt(plain, key_id="orders"))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [("(0, 1180591620717411303424)", "'<f8'"), (f"({'1,' * 70}0)", "'<f8'"), ("(9999,)", "'<U0'")],
)
def test_no_memory_is_taken_for_values_that_are_not_there(
    keyring: Keyring, shape: str, dtype: str
) -> None:
    """Such as texts without a letter, of which numpy keeps four bytes each."""
    message = keyring.encrypt(npy_of(npy_header(shape, dtype)), key_id="orders")
    with pytest.raises(InvalidInputError, match="of that shape"):
        open_array(keyring, message)
