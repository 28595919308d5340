"""Arrays of numpy in sealed files, as ``.npy`` is within them: written and read without a copy.

    with open("a.npy.mfn", "wb") as file:
        save_array(keyring, file, array, key_id="models")
    with open("a.npy.mfn", "rb") as file:
        part = SealedArray(keyring, file)[1_000_000:1_001_000]

What an array holds goes from its memory into the sealed chunks, and out of them into the memory of
a new one. ``mfn decrypt`` gives the ``.npy`` file that ``numpy.load`` reads.
"""

from __future__ import annotations

import io
import tokenize
from typing import TYPE_CHECKING, Any, Final, Literal

from mycelium_fractal_net.security.errors import InvalidInputError, unusable_extra
from mycelium_fractal_net.security.records.open_options import PLAIN

try:
    import numpy
    from numpy.lib import format as npy
except ImportError as error:
    raise unusable_extra("arrays", "numpy", error) from None

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mycelium_fractal_net.security.byte_io.binary_io import BinaryWriter, SeekableFile
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.records.open_options import OpenOptions
    from mycelium_fractal_net.security.sealed.reader import SealedReader

    Array = NDArray[Any]

__all__ = ["SealedArray", "load_array", "open_array", "save_array", "seal_array"]

_READERS: Final[dict[tuple[int, int], Callable[[Any], Any]]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}

# What numpy's parser of headers raises for some text or other.
_NO_HEADER: Final = (
    *(LookupError, ValueError, TypeError, SyntaxError, RecursionError, tokenize.TokenError),
)


def buffer_of(array: Array) -> memoryview:
    """The bytes of an array in the order that it has in memory, uncopied where they lie together.

    In C or in Fortran order they do; an array of other strides is copied once. The types that the
    buffer protocol has no word for, such as ``datetime64``, go too. Raises
    :class:`InvalidInputError` for arrays of Python objects, which hold addresses.
    """
    if array.dtype.hasobject:
        raise InvalidInputError("an array of Python objects holds no data: give it a type")
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        array = array.T
    return memoryview(_octets(numpy.ascontiguousarray(array)))


def save_array(
    keyring: Keyring,
    file: BinaryWriter,
    array: Array,
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
) -> None:
    """Seal ``array`` into ``file``, as ``numpy.save`` would write it.

    Raises what :meth:`Keyring.open_writer` and :func:`buffer_of` do.
    """
    data = buffer_of(array)
    head = io.BytesIO()
    fields = npy.header_data_from_array_1_0(array)
    write = npy.write_array_header_1_0
    if array.dtype.names is not None:  # many fields need a longer header
        write = npy.write_array_header_2_0
    write(head, fields)
    with keyring.open_writer(file, key_id=key_id, associated_data=associated_data) as writer:
        writer.write(head.getvalue())
        writer.write(data)


def load_array(keyring: Keyring, file: SeekableFile, options: OpenOptions = PLAIN) -> Array:
    """The whole array that a sealed file holds.

    Raises :class:`DecryptionError`, and :class:`InvalidInputError` where it holds none.
    """
    return SealedArray(keyring, file, options).load()


def seal_array(
    keyring: Keyring, array: Array, *, key_id: str | None = None, associated_data: Buffer = b""
) -> bytes:
    """The sealed message of ``array``, for :func:`open_array`; as :func:`save_array` otherwise."""
    message = io.BytesIO()
    save_array(keyring, message, array, key_id=key_id, associated_data=associated_data)
    return message.getvalue()


def open_array(keyring: Keyring, message: bytes, options: OpenOptions = PLAIN) -> Array:
    """The array in a sealed message; as :func:`load_array` otherwise."""
    return load_array(keyring, io.BytesIO(message), options)


class SealedArray:
    """An array in a sealed file that stays open, of which parts are read.

    ``array[17]`` and ``array[1000:2000]`` read along the first axis, and decrypt what they touch
    into a new array. Not for several threads at once.
    """

    def __init__(self, keyring: Keyring, file: SeekableFile, options: OpenOptions = PLAIN) -> None:
        """Raises what :func:`load_array` does."""
        self._reader: SealedReader = keyring.open_reader(file, options)
        try:
            read = _READERS[npy.read_magic(self._reader)]
            self.shape, self.fortran_order, self.dtype = read(self._reader)
        except _NO_HEADER:
            raise InvalidInputError("it is sealed, and holds no array") from None
        self._start = self._reader.tell()
        count = 1
        for length in self.shape:
            count *= length
        self.nbytes: int = count * self.dtype.itemsize
        if (
            self.dtype.hasobject
            or min(self.shape, default=0) < 0
            or self.nbytes != self._reader.size - self._start
        ):
            raise InvalidInputError("it is sealed, and holds no array of plain data")

    def __repr__(self) -> str:
        return f"<SealedArray of {self.dtype} {self.shape}>"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array of no dimensions has no length")
        return int(self.shape[0])

    def load(self) -> Array:
        """All of it."""
        whole = _empty(self.shape, self.dtype, order="F" if self.fortran_order else "C")
        self._fill(whole.T if self.fortran_order else whole, 0)
        return whole

    def __getitem__(self, index: int | slice) -> Array:
        """The rows of that index or slice. One in Fortran order is read whole for that."""
        if self.fortran_order and len(self.shape) > 1:
            return numpy.asarray(self.load()[index])
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise InvalidInputError("rows are read one after the other: a step of 1")
            return self._rows(start, max(stop - start, 0))
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError("no such row")
        return numpy.asarray(self._rows(row, 1)[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """All of it, for numpy's functions."""
        if copy is False:
            raise ValueError("what is sealed has no memory to be shared")
        return self.load() if dtype is None else self.load().astype(dtype)

    def _rows(self, start: int, count: int) -> Array:
        found = _empty((count, *self.shape[1:]), self.dtype)
        self._fill(found, start * found.strides[0] if count else 0)
        return found

    def _fill(self, array: Array, offset: int) -> None:
        if array.nbytes:
            self._reader.seek(self._start + offset)
            self._reader.readinto(_octets(array))

    def close(self) -> None:
        """Forget the key; the file stays open."""
        self._reader.close()


def _empty(shape: tuple[int, ...], dtype: Any, order: Literal["C", "F"] = "C") -> Array:
    """Memory for an array of that header. Raises :class:`InvalidInputError`."""
    try:
        if dtype.itemsize or 0 in shape:  # of values without bytes there may be any number
            return numpy.empty(shape, dtype, order)
    except ValueError:  # of no values, and yet more or longer dimensions than it has
        pass
    raise InvalidInputError("numpy has no array of that shape")


def _octets(array: Array) -> Any:
    """The memory of an array in C order; to mypy no array is a buffer before Python 3.12."""
    return array.reshape(-1).view(numpy.uint8) if array.nbytes else b""
