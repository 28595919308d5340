"""What was verified already: statements about the beginnings of segments, beside each chain.

A statement says that these bytes of a segment (their number and SHA-256), hung on this MAC, hold
the records from one to another and end with this MAC. It is authenticated with the store's audit
key and true for ever, wherever it comes from: whoever puts an old one back gains nothing. Where
the bytes are the same they need no parsing and no MAC each. Whatever is wrong with a statement,
with the file or with its folder means that the records are read again, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from mycelium_fractal_net.security.algorithms.digests import running_sha256
from mycelium_fractal_net.security.audit.chain import Checkpoint
from mycelium_fractal_net.security.byte_io.durable import create_private

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mycelium_fractal_net.security.algorithms.digests import Running
    from mycelium_fractal_net.security.audit.chain import ChainKey, Line
    from mycelium_fractal_net.security.audit.segments import Segment

CHECKPOINTS: Final = "verified"  # in a chain's folder; each name of a segment ends in .jsonl
_MOST_BYTES: Final = 64 << 20  # about 200,000 statements
_BLOCK_BYTES: Final = 1 << 20


class Verified:
    """The beginning of a segment that is in order so far, line by line or by its checkpoint."""

    def __init__(self, segment: Segment, begins: bytes | None) -> None:
        self.segment = segment
        self.begins = begins  # None: what is before it is in doubt, and so is this
        self.size = 0
        self.last = segment.first - 1
        self.mac = begins or b""
        self._hash: Running = running_sha256()
        self._goes_on = begins is not None

    def add(self, line: Line, *, in_order: bool) -> None:
        """Take the next line; one that is not in order, or no record, ends it."""
        self._goes_on = self._goes_on and in_order
        if self._goes_on:
            self._hash.update(line.raw)
            self.size += len(line.raw)
            self.last, self.mac = line.sequence, line.mac

    def end(self) -> None:
        """Nothing that follows belongs to it."""
        self._goes_on = False

    def holds(self, stated: Checkpoint) -> bool:
        """Whether the segment begins with what was stated, which is taken then.

        Raises :class:`OSError`.
        """
        found, left = running_sha256(), stated.size
        with self.segment.path.open("rb") as file:
            while left and (block := file.read(min(left, _BLOCK_BYTES))):
                found.update(block)
                left -= len(block)
        if left or found.digest() != stated.sha256:
            return False
        self._hash, self.size = found, stated.size
        self.last, self.mac = stated.last, stated.mac
        return True

    def stated(self, chain: str) -> Checkpoint:
        """It as a statement, without its tag yet."""
        name, first = self.segment.path.name, self.segment.first
        begins, digest = self.begins or b"", self._hash.digest()
        return Checkpoint(chain, name, begins, self.size, digest, first, self.last, self.mac)


class Checkpoints:
    """The statements about one chain that lie in its folders; new ones go into the first."""

    def __init__(
        self, chain: str, folders: Iterable[Path], key: ChainKey, *, trusted: bool = True
    ) -> None:
        self._chain = chain
        self._trusted = trusted
        self._key = key
        self._folders = list(folders)
        self._known: dict[str, Checkpoint] = {}
        for folder in reversed(self._folders):
            self._known.update({each.segment: each for each in _read(folder / CHECKPOINTS)})
        self._changed = False

    def of(self, segment: Segment, begins: bytes | None) -> Checkpoint | None:
        """The statement about a segment that hangs on ``begins``, if there is a true one."""
        stated = self._known.get(segment.path.name) if self._trusted else None
        if stated is None or (stated.chain, stated.begins) != (self._chain, begins):
            return None
        return stated if self._key.is_authentic(stated) else None

    def note(self, verified: Verified) -> None:
        """Keep what was verified of a segment, where that is anything new."""
        if not verified.size or verified.begins is None:
            return
        stated = self._key.authenticated(verified.stated(self._chain))
        if self._known.get(stated.segment) != stated:
            self._known[stated.segment] = stated
            self._changed = True

    def save(self) -> None:
        """Write them, where there is a new one and the folder takes it."""
        if not self._changed:
            return
        folder = self._folders[0]
        temporary = folder / f".{CHECKPOINTS}-{secrets.token_hex(8)}"
        content = msgspec.json.encode(list(self._known.values()))
        with contextlib.suppress(OSError):  # a folder that is only read, a full disk
            descriptor = create_private(temporary)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                temporary.replace(folder / CHECKPOINTS)
            finally:
                temporary.unlink(missing_ok=True)


def _read(path: Path) -> list[Checkpoint]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
        return msgspec.json.decode(content, type=list[Checkpoint])
    return []
