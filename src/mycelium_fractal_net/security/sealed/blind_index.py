"""Blind indexes: tags by which equal values are found, and that show nothing else without the key.

Two steps of HMAC-SHA-256 (docs/format.md, "Blind indexes"): one makes a key for a field out of the
index key and what the field is called, the other the tag of a value under that. So the key of one
field says nothing of another, and may be lent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import InvalidKeyError
from mycelium_fractal_net.security.records.index_fields import MOST_BITS, IndexField

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

KEY_BYTES: Final = 32
_LABEL: Final = b"mycelium-fractal-net/index/v1"


class FieldKey:
    """The key of one field at work: the tag of a value. Thread-safe; shows no key.

    Raises :class:`InvalidKeyError` where the key is not 32 bytes.
    """

    __slots__ = ("_exact", "_keyed", "_shift", "_size", "_whole", "field")

    def __init__(self, key: Buffer, field: IndexField) -> None:
        self.field = field
        self._keyed = _keyed(key)
        self._exact = field.normalisation == "exact"
        self._whole = field.bits is None
        self._size = field.tag_bytes
        self._shift = 8 * self._size - (MOST_BITS if field.bits is None else field.bits)

    def __repr__(self) -> str:
        return "FieldKey(HMAC-SHA-256)"

    def tag(self, value: Buffer | str) -> bytes:
        """The tag of ``value``: 32 bytes, or the first ``bits`` bits and zeros up to a whole byte.

        Raises :class:`InvalidInputError` for a value that the field's normalisation refuses.
        """
        state = self._keyed.copy()
        exact = type(value) is bytes and self._exact
        state.update(value if exact else self.field.octets(value))  # type: ignore[arg-type]
        whole = state.finalize()
        if self._whole:
            return whole
        cut = int.from_bytes(whole[: self._size]) >> self._shift << self._shift
        return cut.to_bytes(self._size)


class IndexKey:
    """A 32-byte key of type ``index``: makes the keys of fields. Thread-safe; shows no key.

    Raises :class:`InvalidKeyError` where the key is not 32 bytes.
    """

    __slots__ = ("_keyed",)

    def __init__(self, key: Buffer) -> None:
        self._keyed = _keyed(key)

    def __repr__(self) -> str:
        return "IndexKey(HMAC-SHA-256)"

    def field_key(self, field: IndexField) -> bytes:
        """The 32 bytes that make the tags of one field."""
        state = self._keyed.copy()
        for part in (_LABEL, field.normalisation.encode(), field.context):
            state.update(len(part).to_bytes(8))
            state.update(part)
        state.update((MOST_BITS if field.bits is None else field.bits).to_bytes(2))
        return state.finalize()

    def field(self, field: IndexField) -> FieldKey:
        """The key of one field at work."""
        return FieldKey(self.field_key(field), field)


def _keyed(key: Buffer) -> HMAC:
    key = as_bytes(key)
    if len(key) != KEY_BYTES:
        raise InvalidKeyError(f"an index key is exactly {KEY_BYTES} bytes")
    return HMAC(key, hashes.SHA256())
