"""The way out of the XOR cipher: whether it is still met, and where old messages are still kept.

The places where ``mfn migrate-xor`` kept old messages are noted in a file in the home folder, until
``--commit`` or ``--rollback`` left none of them there. Nothing else could find them again.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.doctor.findings import Finding, Severity
from mycelium_fractal_net.security.errors import KeyNotFoundError, StoreIntegrityError
from mycelium_fractal_net.security.key_store.rows import day_of, moment
from mycelium_fractal_net.security.key_store.usage import OPEN
from mycelium_fractal_net.security.records.keys import LEGACY_XOR_KEY_ID, KeyState, version_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.doctor.findings import Examined

__all__ = ["forget_kept", "note_kept", "old_cipher_findings"]

QUIET_DAYS: Final = 30  # without one old message, before the cipher counts as not met any more
_FILE: Final = "xor-kept.json"


def note_kept(settings: Settings, place: str) -> None:
    """Note that old messages are kept in ``place``: a path, or a column and its database."""
    with _alone(settings):
        _write(settings, {*_kept(settings), place})


def forget_kept(settings: Settings, place: str) -> None:
    """Note that none are kept there any more, nor, of a folder, in what lies in it."""
    with _alone(settings):
        before = _kept(settings)
        left = {each for each in before if each != place and not each.startswith(f"{place}/")}
        if left != before:
            _write(settings, left)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Keep other runs from the file, each of which would write back what it has read before."""
    descriptor = os.open(settings.home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _kept(settings: Settings) -> set[str]:
    with suppress(FileNotFoundError, ValueError):
        found = json.loads((settings.home / _FILE).read_text())
        return {each for each in found if isinstance(each, str)}
    return set()


def _write(settings: Settings, places: set[str]) -> None:
    path: Path = settings.home / _FILE
    if not places:
        path.unlink(missing_ok=True)
        return
    new = path.with_suffix(".new")  # what a killed run left of it is overwritten by the next
    descriptor = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(sorted(places), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def old_cipher_findings(store: Examined) -> Iterator[Finding]:
    """What is left to do until the old cipher is history."""
    kept = sorted(_kept(store.settings))
    for place in kept:
        yield Finding(
            Severity.NOTICE,
            "xor-kept",
            place,
            "keeps old messages beside the new ones: mfn migrate-xor with --commit removes them",
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
            yield Finding(
                Severity.WARNING,
                "xor-key",
                "legacy.read_xor",
                "is on, and the key of the XOR cipher is not here: mfn key import-xor FILE, or"
                " switch it off",
            )
        return
    version = key.latest
    if version.state in (KeyState.PENDING_DESTRUCTION, KeyState.DESTROYED):
        return
    days = [each for each in store.usage.days([version.handle]) if each.kind == OPEN]
    last = days[-1].day if days else None
    today = day_of(store.provider.clock())
    quiet = today - (day_of(version.created_at) if last is None else last) >= QUIET_DAYS
    if not reads and quiet and not kept:
        named = version_id(key.key_id, version.version)
        yield Finding(
            Severity.NOTICE,
            "xor-over",
            f"key {named}",
            f"has opened nothing for {QUIET_DAYS} days: mfn key destroy {named}",
        )
    elif reads and quiet and not kept:
        since = "ever" if last is None else f"since {_date(last)}"
        yield Finding(
            Severity.NOTICE,
            "xor-over",
            "legacy.read_xor",
            f"is not needed any more, no message of the XOR cipher was opened {since}: switch it"
            " off",
        )
    elif reads:
        yield Finding(
            Severity.NOTICE,
            "xor-met",
            "legacy.read_xor",
            "is on, and can be switched off once no message of the XOR cipher was opened for"
            f" {QUIET_DAYS} days and none is kept:"
            f" {'none was opened yet' if last is None else f'the last was on {_date(last)}'}",
        )


def _date(day: int) -> str:
    return f"{moment(0) + timedelta(days=day):%Y-%m-%d}"
