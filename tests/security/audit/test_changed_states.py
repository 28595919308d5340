"""What the records say of states that were left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.audit.changes import changes

if TYPE_CHECKING:
    from tests.support.audit import Books


def left(books: Books, most_bytes: int = 1 << 20) -> list[tuple[str | None, str]]:
    """Of each change that was done its key, and the state that it ended."""
    key = books.provider.audit_keys.chain_key()
    found = changes([books.folder], books.provider.store, key, most_bytes)
    return [(each.key, each.former) for each in found]


def test_only_changes_that_were_done_left_a_state(books: Books) -> None:
    """The newest first, as far back as is asked for; not one that was cut off or did not come."""
    with books.opened(resolve=None) as log:
        for number, outcome in enumerate(("ok", "not-done", "done", None)):
            key = f"k{number}"
            intent = log.record(Event("key.rotate", "intent", key=key, mark="b", former="a"))
            if outcome is not None:
                log.record(Event("key.rotate", outcome, key=key, intent=intent))
        log.record(Event("encrypt", "ok", key="k9"))
    assert left(books) == [("k2", "a"), ("k0", "a")]
    assert left(books, 1000) == [("k2", "a")]
    assert left(books, 100) == []
