"""Columns that this machine's ``mfn rewrap --from`` has sealed, and whether that was all of them.

Doctor knows no database of an application, and no type: what it says is what the last run has
seen, noted in the home folder. A field's rewrap without ``--from`` that fails nowhere ends it,
since that has looked at every value.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.config.notes import Notes
from mycelium_fractal_net.doctor.findings import Examined, Finding, notice

if TYPE_CHECKING:
    from mycelium_fractal_net.config import Settings

_FILE: Final = "takeovers.json"


def note_takeover(
    settings: Settings, place: str, *, at: datetime, sealed: int, failed: int
) -> None:
    """Note what a run on the column ``place`` found that was not sealed: all of it, or a part."""
    seen = {"on": f"{at:%Y-%m-%d}", "sealed": sealed, "failed": failed}
    Notes(settings, _FILE).change(lambda before: {**_places(before), place: seen})


def forget_takeover(settings: Settings, place: str) -> None:
    """Note that the takeover of that column is over."""

    def left(before: Any) -> Any:
        places = _places(before)
        return before if places.pop(place, None) is None else places

    Notes(settings, _FILE).change(left)


def takeover_findings(store: Examined) -> Iterator[Finding]:
    """Which takeovers are to be run again, and which can end."""
    for place, seen in sorted(_places(Notes(store.settings, _FILE).read()).items()):
        if seen["sealed"] or seen["failed"]:
            yield notice(
                "takeover-open",
                place,
                f"had {seen['sealed'] + seen['failed']} values that were not sealed on"
                f" {seen['on']}, and {seen['failed']} of them stayed: run the same again, until"
                " it seals none and nothing fails",
            )
        else:
            yield notice(
                "takeover-over",
                place,
                f"had nothing that was not sealed on {seen['on']}: leave takes_over out of its"
                " type; a rewrap of the field without --from ends this notice",
            )


def _places(noted: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(noted, dict):
        return {}
    return {
        place: seen
        for place, seen in noted.items()
        if isinstance(seen, dict)
        and isinstance(seen.get("on"), str)
        and all(isinstance(seen.get(name), int) for name in ("sealed", "failed"))
    }
