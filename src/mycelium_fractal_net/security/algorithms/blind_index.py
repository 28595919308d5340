"""Blind indexes: tags by which equal values are found, and that show nothing else without the key.

Two steps of HMAC-SHA-256 (docs/format.md, "Blind indexes"): one makes a key for a field out of the
index key and what the field is called, the other the tag of a value under that. So the key of one
field says nothing of another, and may be lent.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import InvalidInputError, InvalidKeyError

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

KEY_BYTES: Final = 32
TAG_BYTES: Final = 32  # of a tag that is not cut short
LEAST_BITS: Final = 4
MOST_BITS: Final = 8 * TAG_BYTES
_LABEL: Final = b"mycelium-fractal-net/index/v1"

Normalisation = Literal["exact", "nfc", "caseless"]
"""What is done to text before its tag is made: nothing; Unicode's composed form NFC (UAX 15); or
that of the text without case: NFC of the case folding of NFD (Unicode, section 3.13, D145)."""
NORMALISATIONS: Final[tuple[str, ...]] = get_args(Normalisation)


class IndexField(NamedTuple):
    """What a value belongs to. Tags of two fields that differ in anything never match.

    ``context`` says what it is, such as ``b"users.email"``. ``bits``, 4 to 256, cuts tags short on
    purpose, so that different values share one; None leaves them whole.
    """

    context: bytes
    bits: int | None = None
    normalisation: Normalisation = "exact"

    @classmethod
    def checked(
        cls, context: Buffer, bits: int | None = None, normalisation: str = "exact"
    ) -> IndexField:
        """The field that these name. Raises :class:`InvalidInputError`."""
        context = as_bytes(context)
        if not context:
            raise InvalidInputError("a context is at least one byte: it names the field")
        if bits is not None and (type(bits) is not int or not LEAST_BITS <= bits <= MOST_BITS):
            raise InvalidInputError(f"bits is a number from {LEAST_BITS} to {MOST_BITS}")
        if normalisation not in NORMALISATIONS:
            raise InvalidInputError(f"a normalisation is one of {', '.join(NORMALISATIONS)}")
        return cls(bytes(context), bits, normalisation)  # type: ignore[arg-type]

    @property
    def tag_bytes(self) -> int:
        """How long its tags are."""
        return TAG_BYTES if self.bits is None else (self.bits + 7) // 8

    def octets(self, value: Buffer | str) -> bytes:
        """The bytes of a value of which the tag is made; text is UTF-8.

        Raises :class:`InvalidInputError` for bytes that are to be normalised and are no UTF-8, and
        for characters that are not assigned in this Python's Unicode, whose forms may change.
        """
        if isinstance(value, str):
            text = value
        elif self.normalisation == "exact":
            return bytes(as_bytes(value))
        else:
            try:
                text = bytes(as_bytes(value)).decode()
            except UnicodeDecodeError:
                raise InvalidInputError("a value that is normalised is text in UTF-8") from None
        if not text.isascii():
            text = self._normalised(text)
        elif self.normalisation == "caseless":
            text = text.lower()
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise InvalidInputError("a value has a lone surrogate, which is no text") from None

    def _normalised(self, text: str) -> str:
        if self.normalisation == "exact":
            return text
        if any(unicodedata.category(each) == "Cn" for each in text):
            raise InvalidInputError("a value has a character that this Unicode does not assign")
        if self.normalisation == "nfc":
            return unicodedata.normalize("NFC", text)
        folded = unicodedata.normalize("NFD", text).casefold()
        return unicodedata.normalize("NFC", folded)


class FieldKey:
    """The key of one field at work: the tag of a value. Thread-safe; shows no key.

    Raises :class:`InvalidKeyError` where the key is not 32 bytes.
    """

    __slots__ = ("_keyed", "_shift", "_size", "field")

    def __init__(self, key: Buffer, field: IndexField) -> None:
        self.field = field
        self._keyed = _keyed(key)
        self._size = field.tag_bytes
        self._shift = 8 * self._size - (MOST_BITS if field.bits is None else field.bits)

    def __repr__(self) -> str:
        return "FieldKey(HMAC-SHA-256)"

    def tag(self, value: Buffer | str) -> bytes:
        """The tag of ``value``: 32 bytes, or the first ``bits`` bits and zeros up to a whole byte.

        Raises :class:`InvalidInputError` for a value that the field's normalisation refuses.
        """
        state = self._keyed.copy()
        state.update(self.field.octets(value))
        whole = state.finalize()
        if self.field.bits is None:
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
