"""Where ``mfn migrate-xor`` kept old messages, noted in a file in the home folder.

Until ``--commit`` or ``--rollback`` left none of them there. Nothing else could find them again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mycelium_fractal_net.config import Settings

_FILE: Final = "xor-kept.json"


def note_kept(settings: Settings, place: str) -> None:
    """Note that old messages are kept in ``place``: a path, or a column and its database."""
    with _alone(settings):
        _write(settings, {*kept_places(settings), place})


def forget_kept(settings: Settings, place: str) -> None:
    """Note that none are kept there any more, nor, of a folder, in what lies in it."""
    with _alone(settings):
        before = kept_places(settings)
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


def kept_places(settings: Settings) -> set[str]:
    """The places where old messages are kept."""
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
