"""What is in a folder, listed whole before any of it is changed, in bounded memory.

Which entries readdir(3) gives of a folder that changes meanwhile is nobody's promise. Nor may
the names of a million files lie in memory: beyond a few they wait in a temporary file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Final

_MEMORY_BYTES: Final = 1 << 20  # of names, some 50,000, for each folder on the way down
_END: Final = b"\0"  # no name has it
_BLOCK: Final = 1 << 16


class EntryKind(StrEnum):
    """What an entry of a folder is; a link is never what it leads to."""

    FOLDER = "d"
    FILE = "f"
    OTHER = "o"


class Listing:
    """The kinds and names of the entries of a folder, to be gone through once and closed."""

    def __init__(self, folder: Path) -> None:
        """Raises :class:`OSError` where it cannot be read, or its names find no room."""
        self._names = SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115 - see close
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    self._names.write(_kind(entry).encode() + os.fsencode(entry.name) + _END)
            self._names.seek(0)
        except BaseException:
            self.close()
            raise
        self._entries = self._read()

    def close(self) -> None:
        """Let go of the names."""
        self._names.close()

    def __iter__(self) -> Iterator[tuple[EntryKind, str]]:
        return self._entries  # the same each time: one that is left goes on where it was

    def _read(self) -> Iterator[tuple[EntryKind, str]]:
        rest = b""
        while block := self._names.read(_BLOCK):
            *whole, rest = (rest + block).split(_END)
            for each in whole:
                yield EntryKind(chr(each[0])), os.fsdecode(each[1:])


def _kind(entry: os.DirEntry[str]) -> EntryKind:
    if entry.is_dir(follow_symlinks=False):
        return EntryKind.FOLDER
    return EntryKind.FILE if entry.is_file(follow_symlinks=False) else EntryKind.OTHER
