"""The header of the safetensors format, read and written; nothing of its library is needed.

A file is 8 bytes of length, little-endian, then that many of JSON, which begins with a brace and
may end in blanks. It gives for each name a type, a shape and where its bytes lie, from the end of
the header on, one after the other without a gap; and ``__metadata__``, texts by name.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LENGTH_BYTES: Final = 8
MOST_HEADER_BYTES: Final = 100_000_000  # as the library takes
METADATA: Final = "__metadata__"

_ALIGNED_BYTES: Final = 8  # where the data begins, filled up with blanks
_ITEM_BYTES: Final = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1,
    "F8_E5M2FNUZ": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
"""Of the types whose values are whole bytes."""


class TensorInfo(NamedTuple):
    """A tensor's type as the format names it, its shape, and its bytes from the data's start on."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    nbytes: int


def parse_tensor_header(
    text: bytes, data_bytes: int
) -> tuple[dict[str, str], dict[str, TensorInfo]]:
    """Metadata and tensors of a header, behind which ``data_bytes`` lie.

    Raises :class:`InvalidInputError` for gaps, overlaps, names given twice, sizes that do not fit.
    """
    try:
        if text[:1] != b"{":
            raise ValueError
        header = json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_refused)
        metadata = header.pop(METADATA, {})
        if not all(isinstance(each, str) for each in [*metadata, *metadata.values()]):
            raise ValueError
        infos = {name: _info(entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise no_tensors() from None
    end = 0
    for info in sorted(infos.values(), key=lambda each: (each.start, each.nbytes)):
        if info.start != end:
            raise no_tensors()
        end += info.nbytes
    if end != data_bytes:
        raise no_tensors()
    return metadata, infos


def tensor_header(infos: Iterable[tuple[str, TensorInfo]], metadata: Mapping[str, str]) -> bytes:
    """Length and JSON, as they stand at the beginning of a file.

    Raises :class:`InvalidInputError` for names that no tensor may have.
    """
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    for name, info in infos:
        if name == METADATA:
            raise InvalidInputError("the format has no such name of a tensor")
        header[name] = {
            "dtype": info.dtype,
            "shape": list(info.shape),
            "data_offsets": [info.start, info.start + info.nbytes],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED_BYTES)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text


def no_tensors() -> InvalidInputError:
    """What is raised where a file holds none."""
    return InvalidInputError("it is sealed, and holds no tensors in the format of safetensors")


def _info(entry: dict[str, Any]) -> TensorInfo:
    """An entry of the header. Raises KeyError, TypeError or ValueError for what is none."""
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(shape) is not list or type(offsets) is not list:
        raise TypeError
    start, end = offsets
    nbytes = _ITEM_BYTES[dtype]
    for number in (start, end, *shape):
        if type(number) is not int or number < 0:
            raise ValueError
    for length in shape:
        nbytes *= length
    if nbytes != end - start:
        raise ValueError
    return TensorInfo(dtype, tuple(shape), start, nbytes)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    "".join(found).encode()  # a half of a surrogate pair is no text
    return found


def _refused(_: str) -> NoReturn:
    raise ValueError
