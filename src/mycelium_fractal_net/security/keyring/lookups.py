"""Finding encrypted data by its value: the tags of blind indexes, and deterministic messages.

Whoever searches asks for what every version made, newest first, so that a search goes on while
what is stored moves from one version to the next. docs/searching.md says what each gives away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.forking import OfOneProcess
from mycelium_fractal_net.security.keyring.candidates import check_type
from mycelium_fractal_net.security.keyring.opening import MessageKeys, Result
from mycelium_fractal_net.security.keyring.signing import Signature
from mycelium_fractal_net.security.records.index_fields import IndexField
from mycelium_fractal_net.security.records.keys import Key, KeyState, KeyType, parse_key_id
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions
from mycelium_fractal_net.security.sealed.layout import deterministic_handle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.keyring.cache import KeyCache
    from mycelium_fractal_net.security.keyring.key_in_use import KeyInUse
    from mycelium_fractal_net.security.records.index_fields import Normalisation

_DETERMINISTIC: Final = KeyType.DETERMINISTIC
_INDEX: Final = KeyType.INDEX


class BlindIndex(OfOneProcess):
    """Makes the tags of one field under a key of type ``index``. Made by :meth:`Keyring.index`.

    It holds no key: each call takes the versions from the keyring, as fresh as all of its keys.
    """

    __slots__ = ("cache", "field", "key_id")

    def __init__(self, cache: KeyCache, key_id: str, field: IndexField) -> None:
        self.field = field
        self.cache = cache
        self.key_id, number = parse_key_id(key_id)
        if number is not None:
            cache.named(key_id)

    def __repr__(self) -> str:
        return f"BlindIndex({self.key_id!r}, {self.field.context!r})"

    def tag(self, value: Buffer | str) -> Signature:
        """The tag to store with ``value``, made by the version in use, which ``key_id`` names."""
        found = self.cache.protecting(self.key_id, KeyType.INDEX)
        return Signature.made(found.field_key(self.field).tag(value), found.version_id)

    def tags(self, value: Buffer | str, *, allow_compromised: bool = False) -> list[Signature]:
        """The tags to search for: of every version that is not destroyed, newest first.

        Of one that is not yet active too: what a sweep has stored with it is found. Raises
        :class:`KeyStateError` where a version is suspended or compromised, since what it tagged
        would be missed in silence.
        """
        key = self.cache.record(self.key_id)
        check_type(key, KeyType.INDEX)
        found = []
        for version in there(self.cache, key, allow_compromised):
            tag = version.field_key(self.field).tag(value)
            found.append(Signature.made(tag, version.version_id))
        return found


def bare_tag(index: BlindIndex, value: bytes) -> bytes:
    """:meth:`BlindIndex.tag`, without what made it: for the many values of a column."""
    found = index.cache.protecting(index.key_id, _INDEX)
    return found.field_key(index.field).tag(value)


def bare_tags(index: BlindIndex, value: bytes) -> list[bytes]:
    """:meth:`BlindIndex.tags`, without what made them: for the many searches of a column."""
    cache, key_id = index.cache, index.key_id
    versions = cache.record(key_id).versions
    if len(versions) == 1:  # as nearly always
        found = cache.opens(versions[0].handle, key_id, _INDEX)
        if found is not None:
            return [found.field_key(index.field).tag(value)]
    return [bytes(each) for each in index.tags(value)]


class Lookups:
    """Blind indexes and deterministic messages. A base of :class:`.Keyring`."""

    _cache: KeyCache
    _keys: MessageKeys

    # Blind indexes ------------------------------------------------------------------------

    def index(
        self,
        *,
        key_id: str,
        context: Buffer,
        bits: int | None = None,
        normalisation: Normalisation = "exact",
    ) -> BlindIndex:
        """What makes the tags of one field, for many values.

        ``context`` says which field, such as ``b"users.email"``; ``bits``, 4 to 256, cuts tags
        short so that values share them; ``normalisation`` says which texts are the same. All of
        them are part of every tag. Raises :class:`InvalidInputError`.
        """
        return BlindIndex(self._cache, key_id, IndexField.checked(context, bits, normalisation))

    def index_tag(
        self,
        value: Buffer | str,
        *,
        key_id: str,
        context: Buffer,
        bits: int | None = None,
        normalisation: Normalisation = "exact",
    ) -> Signature:
        """The tag to store with ``value``: 32 bytes, or as many as hold ``bits``.

        ``key_id`` of the result says which version made it. See :meth:`index`.
        """
        field = self.index(key_id=key_id, context=context, bits=bits, normalisation=normalisation)
        return field.tag(value)

    def index_tags(
        self,
        value: Buffer | str,
        *,
        key_id: str,
        context: Buffer,
        bits: int | None = None,
        normalisation: Normalisation = "exact",
        allow_compromised: bool = False,
    ) -> list[Signature]:
        """The tags by which to search for ``value``: of every version, newest first.

        ``WHERE tag IN (...)`` goes on finding what is there while a rotation is under way.
        """
        field = self.index(key_id=key_id, context=context, bits=bits, normalisation=normalisation)
        return field.tags(value, allow_compromised=allow_compromised)

    # Deterministic messages ---------------------------------------------------------------

    def deterministic_messages(
        self, data: Buffer, *, key_id: str, associated_data: Buffer = b""
    ) -> list[Signature]:
        """The messages by which to search for ``data``: of every version, newest first.

        The one to store is what :meth:`.Keyring.encrypt` makes with the format ``deterministic``.
        """
        key = self._cache.named(key_id)
        check_type(key, _DETERMINISTIC)
        return [
            Signature.made(found.deterministic(associated_data).seal(data), found.version_id)
            for found in there(self._cache, key, allow_compromised=False)
        ]

    def _seal_deterministic(self, data: Buffer, associated_data: Buffer, key_id: str) -> Result:
        found = self._cache.protecting(key_id, _DETERMINISTIC)
        return Result(found.deterministic(associated_data).seal(data), found.version_id)

    def _open_deterministic(
        self, message: Buffer, key_id: str | None, options: OpenOptions = PLAIN
    ) -> tuple[KeyInUse, bytes]:
        """The version that made a message, and the data. Raises :class:`DecryptionError`."""
        if options.name is not None:  # a file's, which such a message never has
            raise DecryptionError
        found = self._keys.opening(deterministic_handle(message), key_id, options, _DETERMINISTIC)
        data = found.deterministic(options.associated_data).open(message)
        self._cache.counts.opened(found)
        return found, data


def there(cache: KeyCache, key: Key, allow_compromised: bool) -> Iterator[KeyInUse]:
    """Every version whose tags or messages may be stored somewhere, newest first."""
    for version in reversed(key.versions):
        if version.state is KeyState.DESTROYED:
            continue
        key.check_find(version, allow_compromised=allow_compromised)
        found = cache.opening(version.handle)
        cache.counts.opened(found)
        cache.counts.pending(found)  # what it tagged is lost to searches once it is destroyed
        yield found
