"""Safetensors files that are sealed, read tensor by tensor.

    with open("model.safetensors.mfn", "rb") as file:
        tensors = SealedTensors(keyring, file)
        weights = tensors["encoder.weight"]  # decrypts that one

The library's own opener takes paths alone, so the header is read here (:mod:`.tensor_header`).
Nothing of the library is needed, numpy is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.integrations.numpy import buffer_of
from mycelium_fractal_net.integrations.tensor_header import (
    LENGTH_BYTES,
    MOST_HEADER_BYTES,
    TensorInfo,
    no_tensors,
    parse_tensor_header,
    tensor_header,
)
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

__all__ = ["SealedTensors", "save_tensors"]

# Of the format's types those that numpy has.
_NUMPY: Final = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "U32": "<u4",
    "I32": "<i4", "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
    "C64": "<c8",
}  # fmt: skip


class SealedTensors:
    """The tensors of a sealed file that stays open. Not for several threads at once.

    ``tensors[name]`` is one as an array of numpy. For the types that numpy lacks, such as ``BF16``,
    and for torch there is :meth:`read_into`.
    """

    def __init__(self, keyring: Keyring, file: SeekableFile, options: OpenOptions = PLAIN) -> None:
        """Raises :class:`DecryptionError`; :class:`InvalidInputError` where it holds no tensors."""
        self._reader = keyring.open_reader(file, options)
        length = int.from_bytes(self._reader.read(LENGTH_BYTES), "little")
        self._start = LENGTH_BYTES + length
        if length > MOST_HEADER_BYTES or self._start > self._reader.size:
            raise no_tensors()
        text = self._reader.read(length)
        self.metadata, self._infos = parse_tensor_header(text, self._reader.size - self._start)

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
        try:
            array = numpy.empty(info.shape, _NUMPY[info.dtype])
        except ValueError:  # of no values, and yet more or longer dimensions than it has
            raise InvalidInputError("numpy has no array of that shape") from None
        self.read_into(name, buffer_of(array))
        return array

    def read_into(self, name: str, buffer: Buffer) -> None:
        """Decrypt one into memory of its size.

        Of a tensor of torch that is ``t.reshape(-1).view(torch.uint8).numpy()``.

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
    infos, parts, at = [], [], 0
    for name, given in tensors.items():
        array = numpy.ascontiguousarray(given).reshape(given.shape)
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if little.dtype.str not in types:
            raise InvalidInputError("the format has no such type of a tensor")
        info = TensorInfo(types[little.dtype.str], little.shape, at, little.nbytes)
        infos.append((name, info))
        parts.append(little)
        at += little.nbytes
    header = tensor_header(infos, metadata or {})
    with keyring.open_writer(file, key_id=key_id, associated_data=associated_data) as writer:
        writer.write(header)
        for part in parts:
            writer.write(buffer_of(part))
