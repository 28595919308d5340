"""Which versions of a key are tried for what does not name its version, and what a key is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mycelium_fractal_net.security.errors import KeyStateError, KeyUsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.records.keys import Key, KeyType, KeyVersion


class _Check(Protocol):
    def __call__(self, version: KeyVersion, *, allow_compromised: bool = ...) -> None: ...


def candidates(
    key: Key, number: int | None, check: _Check, allow_compromised: bool
) -> Iterator[KeyVersion]:
    """The versions to try, newest first; a version that was named must be permitted.

    Raises :class:`KeyStateError` where no version's state permits it.
    """
    if number is not None:
        version = key.version(number)
        check(version, allow_compromised=allow_compromised)
        yield version
        return
    refusal: KeyStateError | None = None
    permitted = False
    for version in reversed(key.versions):
        try:
            check(version, allow_compromised=allow_compromised)
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
