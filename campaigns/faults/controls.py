"""What the checks must notice, and what strace must bring about: else a run without failures tells
nothing."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from typing import Final

from campaigns.faults.injecting import new_store, whole
from campaigns.faults.snapshot import Snapshot
from campaigns.faults.strace import Fault, faulty, plain
from campaigns.faults.works import WORKS
from campaigns.frame.campaign import Figures, Part
from campaigns.frame.run import Run
from tests.torture.place import Place

_ROTATION: Final = WORKS[0]


def part() -> Part:
    """The controls, in seconds."""
    return Part("controls", _controlled)


def _controlled(_: Run) -> Figures:
    with new_store("SQLite") as place:
        before = Snapshot(place, "before")
        arguments = _ROTATION.asked(place)[0]
        refused = faulty(place, arguments, Fault("openat", "home/keys.db", 1, "EIO"))
        before.restore()
        plain(place, arguments)  # and nobody says that there is a new version
        more = _is_noticed(place)
        before.restore()
        with contextlib.closing(sqlite3.connect(place.home / "keys.db")) as connection, connection:
            connection.execute("DELETE FROM mfn_key_versions WHERE key_id = 'orders'")
        gone = _is_noticed(place)
    found = {
        "a call that is refused fails the command": bool(refused.injected and refused.code),
        "a version that nobody asked for is noticed": more,
        "a version that is gone is noticed": gone,
    }
    missed = [name for name, noticed in found.items() if not noticed]
    return {"controls": found, "failures": [f"not so: {name}" for name in missed]}


def _is_noticed(place: Place) -> bool:
    try:
        whole(place, random.Random(1))
    except Exception:
        return True
    return False
