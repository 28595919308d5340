"""A message that is written like a file: the same as one sealed at once, or none at all."""

from __future__ import annotations

import array
import copy
import io
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError
from mycelium_fractal_net.security.sealed.sealer import Sealer
from mycelium_fractal_net.security.sealed.writer import SealedWriter

SEALER = Sealer.sealed(bytes(32), b"handle12")


@given(st.lists(st.integers(0, 600_000), max_size=5))
def test_pieces_of_any_size_are_one_message(sizes: list[int]) -> None:
    """Across chunks, and across the blocks that are worked on."""
    pieces = [secrets.token_bytes(size) for size in sizes]
    file = io.BytesIO()
    with SEALER.writer(file, b"bound") as writer:
        assert [writer.write(piece) for piece in pieces] == sizes
        assert writer.tell() == writer.size == sum(sizes)
        assert repr(writer) == f"<SealedWriter of {sum(sizes)} bytes>"
    assert SEALER.open(file.getvalue(), b"bound") == b"".join(pieces)


def test_any_buffer_is_written_as_its_bytes() -> None:
    """An array of numbers counts its bytes; text is refused."""
    file = io.BytesIO()
    writer = SEALER.writer(file)
    assert writer.writable()
    assert writer.write(array.array("d", [1.0, 2.0])) == 16
    with pytest.raises(InvalidInputError):
        writer.write("text")  # type: ignore[arg-type]
    writer.close()
    writer.close()
    assert not file.closed
    assert SEALER.open(file.getvalue()) == array.array("d", [1.0, 2.0]).tobytes()
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"")
    with pytest.raises(TypeError, match="not pickled"):
        copy.copy(writer)


def test_what_was_abandoned_or_forgotten_opens_for_nobody() -> None:
    """The final chunk is not there, which says that it is the end."""
    for end in ("error", "abandon", "forget"):
        file = io.BytesIO()
        writer: SealedWriter | None = SEALER.writer(file)
        assert writer is not None
        writer.write(bytes(100_000))
        if end == "error":
            with pytest.raises(LookupError), writer:
                raise LookupError
        elif end == "abandon":
            writer.abandon()
        writer = None
        assert len(file.getvalue()) > 90_000
        with pytest.raises(DecryptionError):
            SEALER.open(file.getvalue())
    del writer
    SealedWriter.__new__(SealedWriter).__del__()  # of which the constructor raised


def test_after_a_failed_write_it_is_never_finished() -> None:
    """Nobody knows how much of it arrived."""

    class Full(io.BytesIO):
        def write(self, data: object, /) -> int:
            if self.tell() > 40_000:
                raise OSError(28, "no space")
            return super().write(data)  # type: ignore[arg-type]

    file = Full()
    writer = SEALER.writer(file)
    writer.write(bytes(60_000))
    with pytest.raises(OSError, match="no space"):
        writer.write(bytes(60_000))
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"")
    writer.close()
    with pytest.raises(DecryptionError):
        SEALER.open(file.getvalue())
    with pytest.raises(OSError, match="no space"):
        SEALER.writer(file)
