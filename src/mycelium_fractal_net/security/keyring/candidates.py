"""Which versions of a key are tried for what does not name its version, and what a key is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import KeyStateError, KeyUsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.security.records.keys import Key, KeyType, KeyVersion


def candidates(
    key: Key, number: int | None, check: Callable[[KeyVersion], None]
) -> Iterator[KeyVersion]:
    """The versions to try, newest first, that ``check`` lets pass; one that was named must.

    Raises :class:`KeyStateError` where no version's state permits it.
    """
    if number is not None:
        version = key.version(number)
        check(version)
        yield version
        return
    refusal: KeyStateError | None = None
    permitted = False
    for version in reversed(key.versions):
        try:
            check(version)
        except KeyStateError as error:
            refusal = refusal or error
            continue
        permitted = True
        yield version
    if refusal is not None and not permitted:
        raise refusal


def check_type(key: Key, key_type: KeyType) -> None:
    """Raise :class:`KeyUsageError` unless the key is of that type."""
    if key.key_type is not key_type:
        raise KeyUsageError(
            f"key {key.key_id!r} is of type {key.key_type}; this needs one of type {key_type}"
        )
    if key.is_legacy:
        raise KeyUsageError(f"key {key.key_id!r} only opens what the XOR cipher wrote")
