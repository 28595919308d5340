"""A column as the field types of SQLAlchemy and Django write it: the tag in front of the message.

``integrations.fields`` stores ``tag || sealed message`` in one value, the tag of none where the
column has no index, and binds both to what its model calls table and column. Whoever moves
such a value needs the same names, and for the tag the plaintext.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.columns.coding import (
    Coding,
    Habit,
    Value,
    decode_as_typed,
    encode,
)
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError
from mycelium_fractal_net.security.records.field_binding import field_binding
from mycelium_fractal_net.security.records.index_fields import IndexField

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.keyring.lookups import BlindIndex
    from mycelium_fractal_net.security.records.index_fields import Normalisation
    from mycelium_fractal_net.security.records.open_options import OpenOptions

_FOREIGN: Final = (
    "its tag is of no version of this index: the key, bits or normalisation are others, or a"
    " version was destroyed; new tags have to be asked for"
)


@dataclass(frozen=True, slots=True)
class EncryptedField:
    """What an application says of an encrypted column, as far as its values depend on it.

    ``table`` and ``column`` are the names that its model has, whatever the database calls them
    now; ``index`` is the key of the blind index, if there is one, ``bits`` and
    ``normalisation`` are those of :meth:`.Keyring.index`. A value whose tag none of the index's
    versions makes stays as it is, for then the index may be another than was said here; with
    ``new_tags`` it gets the tag all the same, as it must where the field got another index.
    Raises :class:`InvalidInputError`.
    """

    table: str
    column: str
    index: str | None = None
    bits: int | None = None
    normalisation: Normalisation = "exact"
    new_tags: bool = False

    def __post_init__(self) -> None:
        if not self.table or not self.column:
            raise InvalidInputError("an encrypted field is named by its table and column")
        if self.index is None and (self.bits is not None or self.normalisation != "exact"):
            raise InvalidInputError("bits and normalisation are of an index, and none is named")
        IndexField.checked(self.binding, self.bits, self.normalisation)

    @property
    def binding(self) -> bytes:
        """What messages and tags are bound to: see :func:`.field_binding`."""
        return field_binding(self.table, self.column)

    @property
    def tag_bytes(self) -> int:
        """How many bytes of tag stand in front of a message."""
        if self.index is None:
            return 0
        return IndexField(self.binding, self.bits, self.normalisation).tag_bytes

    def tags_by(self, keyring: Keyring) -> BlindIndex | None:
        """What makes its tags; None where it has no index."""
        if self.index is None:
            return None
        return keyring.index(
            key_id=self.index,
            context=self.binding,
            bits=self.bits,
            normalisation=self.normalisation,
        )


class FieldSealer:
    """Seals values as ``field`` stores them, under ``key_id``; raises what its keys refuse."""

    def __init__(self, keyring: Keyring, field: EncryptedField, key_id: str | None) -> None:
        self._cipher = keyring.bound(
            key_id=keyring.protecting_key(key_id), associated_data=field.binding
        )
        self._index = field.tags_by(keyring)
        self._tag_bytes = field.tag_bytes
        if self._index is not None:
            self._index.tag(b"")  # what forbids every tag is no fault of a value

    def seal(self, plaintext: bytes) -> bytes:
        """The tag and the message, which was opened once: whoever asks throws the value away."""
        tag = b"" if self._index is None else bytes(self._index.tag(plaintext))
        message = self._cipher.seal(plaintext)
        if self._cipher.open(message) != plaintext:
            raise DecryptionError
        return tag + message

    def open(self, stored: bytes) -> bytes:
        """The value in a tag and a message. Raises :class:`.DecryptionError`."""
        return self._cipher.open(stored[self._tag_bytes :])


def moving(
    keyring: Keyring, field: EncryptedField, options: OpenOptions, habit: Habit
) -> Callable[[Value, bytes], Value | None]:
    """What moves values of an encrypted field: message and tag to the newest versions of both keys.

    The tag is made of the plaintext by the index key's newest version, also by one that waits:
    that is the step that its activation waits for. None where a value has both already; a tag
    that is of no version of the index is a fault of the value.
    Raises :class:`KeyStateError` and :class:`KeyNotFoundError` where no tags can be made at all.
    """
    bound, size = field.binding, field.tag_bytes
    rewrapped = keyring.rewrapper(options)

    def parts(value: Value) -> tuple[bytes, bytes, Coding]:
        stored, coding = decode_as_typed(value)
        if coding.base64:
            habit.learn(coding)
        if len(stored) < size:
            raise DecryptionError
        return stored[:size], stored[size:], coding

    def move_message(value: Value, _associated: bytes) -> Value | None:
        _, message, coding = parts(value)
        moved = rewrapped(message, bound) if message else None
        return None if moved is None else encode(moved, coding, habit)

    index = field.tags_by(keyring)
    if index is None:
        return move_message

    def tags_of(plaintext: bytes) -> list[bytes]:
        found = index.tags(plaintext, allow_compromised=options.allow_compromised)
        return list(map(bytes, found))

    tags_of(b"")  # what forbids every tag is no fault of a value

    def move_both(value: Value, _associated: bytes) -> Value | None:
        tag, message, coding = parts(value)
        plaintext, moved = rewrapped.with_plaintext(message, bound)
        tags = tags_of(plaintext)
        if tag == tags[0] and moved is message:
            return None
        if tag not in tags and not field.new_tags:
            raise InvalidInputError(_FOREIGN)
        return encode(tags[0] + moved, coding, habit)

    return move_both
