"""Where ``mfn migrate-xor`` kept old messages, noted in a file in the home folder.

Until ``--commit`` or ``--rollback`` left none of them there. Nothing else could find them again.
"""

from __future__ import annotations

from typing import Any, Final

from mycelium_fractal_net.config import Settings
from mycelium_fractal_net.config.notes import Notes

_FILE: Final = "xor-kept.json"


def note_kept(settings: Settings, place: str) -> None:
    """Note that old messages are kept in ``place``: a path, or a column and its database."""
    Notes(settings, _FILE).change(lambda before: sorted({*_places(before), place}))


def forget_kept(settings: Settings, place: str) -> None:
    """Note that none are kept there any more, nor, of a folder, in what lies in it."""

    def left(before: Any) -> Any:
        places = _places(before)
        found = {each for each in places if each != place and not each.startswith(f"{place}/")}
        return before if found == places else sorted(found)

    Notes(settings, _FILE).change(left)


def kept_places(settings: Settings) -> set[str]:
    """The places where old messages are kept."""
    return _places(Notes(settings, _FILE).read())


def _places(noted: Any) -> set[str]:
    return {each for each in noted or () if isinstance(each, str)}
