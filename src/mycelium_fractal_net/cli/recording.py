"""The audit record of a command that uses a key: one, durable before anything is done.

Its outcome is ``begun``. What a command prints says how it ended; that it was run cannot be
taken back by killing it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    DecryptionError,
    KeyNotFoundError,
    KeyStateError,
)
from mycelium_fractal_net.security.records.keys import DEFAULT_KEY_ID, KeyType, version_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.security.keyring.keyring import Keyring

_MOST_VERSIONS: Final = 1000  # in one record; whatever else is in a folder is counted under "-"
_UNKNOWN: Final = "-"


def record_sealing(keyring: Keyring, key: str | None, *, count: int = 1) -> None:
    """Record that ``count`` files are about to be sealed; raises what sealing would.

    Raises :class:`AuditUnavailableError`, as all of these do.
    """
    name = keyring.protecting_key(key)
    newest = keyring.provider.keys.get(name).primary
    _record(keyring, "encrypt", key=version_id(name, newest.version), count=count)


def record_opening(keyring: Keyring, event: str, heads: Iterable[bytes]) -> None:
    """Record that messages are about to be opened or rewrapped; ``heads`` are their first bytes."""
    record_counted(keyring, event, ((head, 1) for head in heads))


def record_counted(keyring: Keyring, event: str, heads: Iterable[tuple[bytes, int]]) -> None:
    """:func:`record_opening` where each beginning comes with how many messages have it."""
    versions: Counter[str] = Counter()
    for head, number in heads:
        versions[_version_of(keyring, head)] += number
    count = versions.total()
    if len(versions) == 1:
        (only,) = versions
        _record(keyring, event, key=None if only == _UNKNOWN else only, count=count)
        return
    named = dict(versions.most_common(_MOST_VERSIONS))
    if rest := count - sum(named.values()):
        named[_UNKNOWN] = named.get(_UNKNOWN, 0) + rest
    items = {version: {"begun": number} for version, number in named.items()}
    _record(keyring, event, items=items or None, count=count)


def record_signing(keyring: Keyring, key: str | None) -> None:
    """Record that a file is about to be signed. Raises where no version of the key may."""
    found = keyring.provider.keys.get(key or DEFAULT_KEY_ID[KeyType.SIGNING])
    _record(keyring, "sign", key=version_id(found.key_id, found.primary.version), count=1)


def record_verifying(keyring: Keyring, key: str) -> None:
    """Record that a signature is about to be verified. Raises :class:`KeyNotFoundError`."""
    keyring.provider.keys.get(key)
    _record(keyring, "verify", key=key, count=1)


def record_searching(keyring: Keyring, key: str, count: int) -> None:
    """Record that the tags of so many values are about to be made. :class:`KeyNotFoundError`."""
    keyring.provider.keys.get(key)
    _record(keyring, "index", key=key, count=count)


def record_migrating(keyring: Keyring, step: str, key: str | None, *, count: int) -> None:
    """Record that ``count`` messages of the XOR cipher are about to be migrated.

    ``step`` is ``migrate``, ``commit`` or ``rollback``; only the first seals, under ``key``.
    """
    from mycelium_fractal_net.legacy.xor_format import xor_key

    version = None
    if step == "migrate":
        xor_key(keyring)
        name = keyring.protecting_key(key)
        version = version_id(name, keyring.provider.keys.get(name).primary.version)
    _record(keyring, f"xor.{step}", key=version, count=count)


def record_taking_over(keyring: Keyring, key: str | None, *, count: int, dry_run: bool) -> None:
    """Record that what is plaintext among ``count`` values is about to be sealed under ``key``."""
    if dry_run:
        return
    name = keyring.protecting_key(key)
    version = version_id(name, keyring.provider.keys.get(name).primary.version)
    _record(keyring, "encrypt", key=version, count=count)


def _version_of(keyring: Keyring, head: bytes) -> str:
    try:
        return keyring.describe(head).version_id
    except (DecryptionError, KeyNotFoundError, KeyStateError):
        return _UNKNOWN  # opening it will say what is wrong


def _record(keyring: Keyring, event: str, **more: Any) -> None:
    from mycelium_fractal_net.security.audit.events import BEGUN

    audit = keyring.provider.audit
    if audit is None:
        raise AuditUnavailableError("this keyring has no audit log")
    audit.now(event, BEGUN, **more)
