"""Which states of the store's records have been left: by what the audit records say of changes.

Each change that was done names the record's state before and after it by their digests. A record
of the store that is in a state before a change was put back, by whoever writes the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mycelium_fractal_net.security.audit.chain import parse
from mycelium_fractal_net.security.audit.events import INTENT, OK
from mycelium_fractal_net.security.audit.folders import chain_folders
from mycelium_fractal_net.security.audit.segments import raw_backwards, segments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mycelium_fractal_net.security.audit.chain import ChainKey
    from mycelium_fractal_net.security.key_store import KeyStore

_DONE = (OK, "done")


class Change(NamedTuple):
    """A change that was done; ``former`` names the state that it ended, and is empty for none."""

    event: str
    key: str | None
    subject: str | None
    former: str
    time: str
    chain: str
    sequence: int


def changes(
    folders: Sequence[Path], store: KeyStore, key: ChainKey, most_bytes: int
) -> Iterator[Change]:
    """The changes in the newest records of each chain of this store, up to that size.

    Not those of chains that ended when the store was restored: it is older than they are.
    """
    known = {anchor.chain_id: anchor for anchor in store.chains()}
    for path in (path for folder in folders for path in chain_folders(folder)):
        anchor = known.get(path.name)
        if anchor is None or anchor.restored_from is not None or not key.is_authentic(anchor):
            continue
        done: set[int] = set()
        for record in _of_changes(path, most_bytes):
            if record["outcome"] in _DONE:
                done.add(record.get("intent", 0))
            elif record["event"].startswith("import."):
                continue  # such a record is there for an hour, and is gone for good once it is used
            elif record["outcome"] == INTENT and record["sequence"] in done and "former" in record:
                yield Change(
                    record["event"], record.get("key"), record.get("subject"), record["former"],
                    record["time"], path.name, record["sequence"],
                )  # fmt: skip


def _of_changes(path: Path, most_bytes: int) -> Iterator[dict[str, Any]]:
    """The records of a chain that are an intent or its outcome, the newest first."""
    left = most_bytes
    for segment in reversed(segments(path)):
        for _, raw in raw_backwards(segment.path):
            left -= len(raw)
            if left < 0:
                return
            if b'"intent"' in raw and (line := parse(raw)) is not None:
                yield line.record()
