"""The XOR cipher: whether it is still met, and where old messages are still kept."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from mycelium_fractal_net.doctor.findings import Examined, Finding, notice, warning
from mycelium_fractal_net.legacy.kept import kept_places
from mycelium_fractal_net.security.errors import KeyNotFoundError, StoreIntegrityError
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.key_store.rows import day_of, from_micros
from mycelium_fractal_net.security.key_store.usage import OPEN
from mycelium_fractal_net.security.records.keys import LEGACY_XOR_KEY_ID, Key, KeyState, version_id

QUIET_DAYS: Final = 30  # without one old message, before the cipher counts as not met any more
_SETTING: Final = "legacy.read_xor"


def old_cipher_findings(store: Examined) -> Iterator[Finding]:
    """What is left to do until the old cipher is history."""
    kept = sorted(kept_places(store.settings))
    for place in kept:
        yield notice(
            "xor-kept",
            place,
            "keeps old messages beside the new ones; to remove them:"
            f" mfn migrate-xor --commit {_named(place)}",
        )
    try:
        key = store.provider.keys.get(LEGACY_XOR_KEY_ID)
    except StoreIntegrityError:
        return  # which is said of every key that is damaged
    except KeyNotFoundError:
        key = None
    reads = store.settings.legacy.read_xor
    if key is None or not key.is_legacy:
        if reads:
            yield warning(
                "xor-key",
                _SETTING,
                "is on, and the key of the XOR cipher is not here: mfn key import-xor FILE, or"
                " switch it off",
            )
    elif key.latest.state not in (KeyState.PENDING_DESTRUCTION, KeyState.DESTROYED):
        last = _last_opened(key, store.usage)
        began = day_of(key.latest.created_at) if last is None else last
        quiet = day_of(store.provider.clock()) - began >= QUIET_DAYS
        yield from _of_use(key, last, reads=reads, over=quiet and not kept)


def _named(place: str) -> str:
    """How a command names what was noted: a path, or a column."""
    if place.startswith("column "):
        return "--database URL --table TABLE --column COLUMN"
    return shlex.quote(place)


def _last_opened(key: Key, usage: UsageStore) -> int | None:
    """The day on which the last old message was opened."""
    days = [each.day for each in usage.days([key.latest.handle]) if each.kind == OPEN]
    return days[-1] if days else None


def _of_use(key: Key, last: int | None, *, reads: bool, over: bool) -> Iterator[Finding]:
    date = None if last is None else f"{from_micros(0) + timedelta(days=last):%Y-%m-%d}"
    if reads and over:
        since = "ever" if date is None else f"since {date}"
        yield notice(
            "xor-over",
            _SETTING,
            f"is not needed any more, no message of the XOR cipher was opened {since}: switch it"
            " off",
        )
    elif reads:
        yield notice(
            "xor-met",
            _SETTING,
            "is on, and can be switched off once no message of the XOR cipher was opened for"
            f" {QUIET_DAYS} days and none is kept:"
            f" {'none was opened yet' if date is None else f'the last was on {date}'}",
        )
    elif over:
        named = version_id(key.key_id, key.latest.version)
        yield notice(
            "xor-over",
            f"key {named}",
            f"has opened nothing for {QUIET_DAYS} days: mfn key destroy {named}",
        )
