"""What every target has alike: how an input chooses its reader, and how the seeds are named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

Reader = Callable[[bytes], object]


def chosen(readers: Sequence[Reader], *refused: type[Exception]) -> Callable[[bytes], None]:
    """A function that runs one input: its first byte chooses the reader of the rest.

    It raises only for a finding: ``refused`` are the errors by which readers refuse an input.
    """

    def one_input(data: bytes) -> None:
        if data:
            with contextlib.suppress(*refused):
                readers[data[0] % len(readers)](data[1:])

    return one_input


def seeds_of(readers: Sequence[Reader], contents: Mapping[Reader, bytes]) -> dict[str, bytes]:
    """A seed for each reader, by the reader's name."""
    return {
        reader.__name__: bytes([readers.index(reader)]) + content
        for reader, content in contents.items()
    }
