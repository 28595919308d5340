"""Safetensors files that are sealed, read tensor by tensor.

    with open("model.safetensors.mfn", "rb") as file:
        tensors = SealedTensors(keyring, file)
        weights = tensors["encoder.weight"]  # decrypts that one

The library's own opener takes paths alone, so the header is read here, as its format says: 8 bytes
of length, little-endian, then JSON that gives for each name a type, a shape and where its bytes
lie, then these without a gap. Nothing of the library is needed, numpy is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mycelium_fractal_net.integrations.numpy import buffer_of
from mycelium_fractal_net.security.errors import InvalidInputError, unusable_extra
from mycelium_fractal_net.security.records.open_options import PLAIN

try:
    import numpy
except ImportError as error:
    raise unusable_extra("tensors", "numpy", error) from None

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mycelium_fractal_net.integrations.numpy import Array
    from mycelium_fractal_net.security.byte_io.binary_io import BinaryWriter, SeekableFile
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.records.open_options import OpenOptions

_LENGTH_BYTES: Final = 8
_MOST_HEADER_BYTES: Final = 100_000_000  # as the library takes
_ALIGNED_BYTES: Final = 8  # where the data begins, filled up with blanks
_METADATA: Final = "__metadata__"
# Of the types those that numpy has; bits of each that are whole bytes.
_NUMPY: Final = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "U32": "<u4",
    "I32": "<i4", "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
    "C64": "<c8",
}  # fmt: skip
_BYTES: Final = {name: int(word[2:]) for name, word in _NUMPY.items()} | {
    "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
}  # fmt: skip


class TensorInfo(NamedTuple):
    """A tensor's type as the format names it, its shape, and its bytes from the data's start on."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    nbytes: int


class SealedTensors:
    """The tensors of a sealed file that stays open. Not for several threads at once.

    ``tensors[name]`` is one as an array of numpy. For the types that numpy lacks, such as ``BF16``,
    and for torch there is :meth:`read_into`.
    """

    def __init__(self, keyring: Keyring, file: SeekableFile, options: OpenOptions = PLAIN) -> None:
        """Raises :class:`DecryptionError`; :class:`InvalidInputError` where it holds no tensors."""
        self._reader = keyring.open_reader(file, options)
        length = int.from_bytes(self._reader.read(_LENGTH_BYTES), "little")
        if not 2 <= length <= min(self._reader.size - _LENGTH_BYTES, _MOST_HEADER_BYTES):
            raise _no_tensors()
        self._start = _LENGTH_BYTES + length
        try:
            header = json.loads(self._reader.read(length), object_pairs_hook=_once)
            self.metadata: dict[str, str] = header.pop(_METADATA, {})
            self._infos = {name: _info(entry) for name, entry in header.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _no_tensors() from None
        end = 0
        for info in sorted(self._infos.values(), key=lambda each: (each.start, each.nbytes)):
            if info.start != end:
                raise _no_tensors()
            end += info.nbytes
        if end != self._reader.size - self._start:
            raise _no_tensors()

    def __repr__(self) -> str:
        return f"<SealedTensors, {len(self)} of them>"

    def __len__(self) -> int:
        return len(self._infos)

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __contains__(self, name: object) -> bool:
        return name in self._infos

    def info(self, name: str) -> TensorInfo:
        """Type and shape of one. Raises KeyError."""
        return self._infos[name]

    def __getitem__(self, name: str) -> Array:
        """One of them. Raises KeyError, and :class:`InvalidInputError` for types not in numpy."""
        info = self._infos[name]
        if info.dtype not in _NUMPY:
            raise InvalidInputError(f"numpy has no type {info.dtype}: use read_into")
        array = numpy.empty(info.shape, _NUMPY[info.dtype])
        self.read_into(name, buffer_of(array))
        return array

    def read_into(self, name: str, buffer: Buffer) -> None:
        """Decrypt one into memory of its size, such as ``t.view(torch.uint8).numpy()`` of torch.

        Raises KeyError, and :class:`InvalidInputError` where the size is another.
        """
        info = self._infos[name]
        view: Any = memoryview(buffer)  # type: ignore[arg-type]  # before 3.12
        if view.nbytes != info.nbytes:
            raise InvalidInputError(f"that tensor has {info.nbytes} bytes")
        if info.nbytes:
            self._reader.seek(self._start + info.start)
            self._reader.readinto(view)

    def close(self) -> None:
        """Forget the key; the file stays open."""
        self._reader.close()


def save_tensors(
    keyring: Keyring,
    file: BinaryWriter,
    tensors: Mapping[str, Array],
    *,
    metadata: Mapping[str, str] | None = None,
    key_id: str | None = None,
    associated_data: Buffer = b"",
) -> None:
    """Seal arrays into ``file`` as safetensors; what is not in C order is copied once.

    Raises what :meth:`Keyring.open_writer` does, and :class:`InvalidInputError` for types that the
    format lacks.
    """
    types = {word: name for name, word in _NUMPY.items()}
    header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    parts, at = [], 0
    for name, given in tensors.items():
        array = numpy.ascontiguousarray(given).reshape(given.shape)
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if little.dtype.str not in types or name == _METADATA:
            raise InvalidInputError("the format has no such type or name of a tensor")
        end = at + little.nbytes
        header[name] = {
            "dtype": types[little.dtype.str],
            "shape": list(little.shape),
            "data_offsets": [at, end],
        }
        parts.append(little)
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED_BYTES)
    with keyring.open_writer(file, key_id=key_id, associated_data=associated_data) as writer:
        writer.write(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
        for part in parts:
            writer.write(buffer_of(part))


def _info(entry: dict[str, Any]) -> TensorInfo:
    """An entry of the header. Raises KeyError, TypeError or ValueError for what is none."""
    shape = tuple(entry["shape"])
    start, end = entry["data_offsets"]
    nbytes = _BYTES[entry["dtype"]]
    for number in (start, end, *shape):
        if type(number) is not int or number < 0:
            raise ValueError
    for length in shape:
        nbytes *= length
    if nbytes != end - start:
        raise ValueError
    return TensorInfo(entry["dtype"], shape, start, nbytes)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_tensors() -> InvalidInputError:
    return InvalidInputError("it is sealed, and holds no tensors in the format of safetensors")
