"""The field that a blind index is of, and which of its values are the same. No cryptography.

docs/format.md, "Blind indexes", has the bytes; docs/searching.md what each choice gives away.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

TAG_BYTES: Final = 32  # of a tag that is not cut short
LEAST_BITS: Final = 4
MOST_BITS: Final = 8 * TAG_BYTES

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
