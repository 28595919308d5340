"""What every target has alike: how an input chooses its reader, and how the seeds are named."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

Reader = Callable[[bytes], object]
_R = TypeVar("_R", bound=Reader)
_IN_MEMORY: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def chosen(readers: Sequence[Reader], *refused: type[Exception]) -> Callable[[bytes], None]:
    """A function that runs one input: its first byte chooses the reader of the rest.

    It raises only for a finding: ``refused`` are the errors by which readers refuse an input.
    """

    def one_input(data: bytes) -> None:
        if data:
            with contextlib.suppress(*refused):
                readers[data[0] % len(readers)](data[1:])

    return one_input


def seeds_of(readers: Sequence[Reader], contents: Mapping[_R, bytes]) -> dict[str, bytes]:
    """A seed for each reader, by the reader's name."""
    return {
        reader.__name__: bytes([readers.index(reader)]) + content
        for reader, content in contents.items()
    }


class Scratch:
    """A private file in memory's folder that a reader of files is given, with any content."""

    def __init__(self, name: str) -> None:
        folder = tempfile.TemporaryDirectory(prefix="mfn-fuzz-", dir=_IN_MEMORY)
        self._folder = folder  # goes when the interpreter ends
        self.path = Path(folder.name, name)

    def holding(self, content: bytes) -> Path:
        """The file, with that content and mode 0600."""
        descriptor = os.open(self.path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return self.path
