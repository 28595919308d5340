"""Reading records back, newest first. Whether they are true, :func:`verify` says."""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.audit.folders import chain_folders
from mycelium_fractal_net.security.audit.segments import lines_backwards

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def query(
    folder: Path,
    *,
    key: str | None = None,
    actor: str | None = None,
    event: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Up to ``limit`` records of all chains in an audit folder, newest first.

    ``key`` is a key id, which stands for all its versions, or a version id; ``event`` as it is
    written, or with all below it (``key`` finds ``key.rotate``); times are RFC 3339 in UTC and
    inclusive. All that is given must hold. Raises :class:`OSError`.
    """

    def fits(record: dict[str, Any]) -> bool:
        return (
            (key is None or _names(record, key))
            and (actor is None or record.get("actor") == actor)
            and (
                event is None or record["event"] == event or record["event"].startswith(event + ".")
            )
            and (until is None or _sortable(record["time"]) <= _sortable(until))
        )

    chains = [_records(path, since) for path in chain_folders(folder)]
    newest = heapq.merge(*chains, key=lambda record: record["time"], reverse=True)
    return list(islice(filter(fits, newest), limit))


def _names(record: dict[str, Any], key: str) -> bool:
    named = [record.get("key"), *(record.get("items") or ())]
    return any(each == key or (each or "").startswith(key + ":") for each in named)


def _sortable(text: str) -> str:
    """A time as text that sorts: with six digits behind the second."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<6}"


def _records(folder: Path, since: str | None) -> Iterator[dict[str, Any]]:
    """The records of one chain, newest first."""
    for line in lines_backwards(folder):
        record = line.record()
        if since is not None and _sortable(record["time"]) < _sortable(since):
            return
        del record["mac"]
        yield {"chain": folder.name, **record}
