"""Lock files that somebody deletes while they are held or waited for: they keep nobody out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import StoreUnavailableError
from mycelium_fractal_net.security.key_store.move_lock import file_lock
from mycelium_fractal_net.security.key_store.sqlite import write_turn

if TYPE_CHECKING:
    from pathlib import Path


def test_a_writers_lock_that_was_deleted_meanwhile_is_taken_anew(tmp_path: Path) -> None:
    """Who waited for it has the one that the next writer will meet."""
    database, lock = tmp_path / "keys.db", tmp_path / "keys.db.lock"
    there: list[bool] = []

    def wait_for_turn() -> None:
        with write_turn(database):
            there.append(lock.exists())

    with write_turn(database):
        waiting = threading.Thread(target=wait_for_turn)
        waiting.start()
        waiting.join(0.2)
        lock.unlink()
    waiting.join(10)
    assert there == [True]


def test_a_move_whose_lock_was_deleted_ends(tmp_path: Path) -> None:
    """Another one may have begun."""
    path = tmp_path / "keys.db.move"
    with file_lock(path) as insist_on_lock:
        insist_on_lock()
        path.unlink()
        with pytest.raises(StoreUnavailableError, match="the lock of the move was lost"):
            insist_on_lock()
