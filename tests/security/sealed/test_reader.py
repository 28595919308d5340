"""Reading a sealed file by position: what it reads, what it touches, what it refuses."""

from __future__ import annotations

import io
import mmap
import os
import pickle
from array import array
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography.cobblestone import Cobblestone256Encryptor
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.sealed.layout import read_header
from mycelium_fractal_net.security.sealed.reader import SealedReader
from mycelium_fractal_net.security.sealed.sealer import Sealer

KEY = bytes(range(32))
HANDLE = b"\x10\x21\x32\x43\x54\x65\x76\x87"
CHUNK = 16_384
SEALED_CHUNK = CHUNK + 16
HEAD = 56
PREFIX = 12

sizes = st.builds(
    lambda chunks, more: max(chunks * CHUNK + more, 0),
    st.sampled_from([0, 1, 2, 3, 16, 17]),
    st.integers(-2, 2),
)


def content(size: int) -> bytes:
    """Bytes in which no two chunks are alike."""
    return array("Q", range(size // 8 + 1)).tobytes()[:size]


class Counting(io.BytesIO):
    """A file that remembers which bytes of it were read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.touched: list[tuple[int, int]] = []

    def readinto(self, buffer: Any, /) -> int:
        """Read and remember."""
        start = self.tell()
        count = super().readinto(buffer)
        self.touched.append((start, count))
        return count


@pytest.fixture
def sealer() -> Sealer:
    return Sealer.sealed(KEY, HANDLE)


def open_message(sealer: Sealer, message: bytes, associated_data: bytes = b"") -> SealedReader:
    """A reader of a sealed message that lies in memory."""
    file = io.BytesIO(message)
    read_header(file)
    return sealer.open_range(file, associated_data)


# What it reads ----------------------------------------------------------------------------


@given(size=sizes, data=st.data())
def test_any_range_of_what_the_public_implementation_sealed(size: int, data: st.DataObject) -> None:
    """Byte for byte, at any position and of any length, within and past the end."""
    plaintext = content(size)
    encryptor = Cobblestone256Encryptor(KEY, b"a context")
    message = encryptor.update(plaintext) + encryptor.finalize()
    reader = Sealer.bare(KEY, b"a context").open_range(io.BytesIO(message))
    assert reader.size == size
    near = st.builds(
        lambda chunk, more: max(chunk * CHUNK + more, 0),
        st.integers(0, size // CHUNK + 1),
        st.integers(-3, 3),
    )
    for _ in range(5):
        start = data.draw(near | st.integers(0, size + 10))
        length = data.draw(near | st.integers(0, 100))
        assert reader.seek(start) == start
        assert reader.read(length) == plaintext[start : start + length]
        assert reader.tell() == start + len(plaintext[start : start + length])
        reader.seek(start)
        buffer = bytearray(b"?" * length)
        count = reader.readinto(buffer)
        assert buffer[:count] == plaintext[start : start + length]
        assert buffer[count:] == b"?" * (length - count)


@pytest.mark.parametrize("size", [0, 1, CHUNK, 40 * CHUNK + 7])
def test_the_whole_is_read_in_each_way(sealer: Sealer, size: int) -> None:
    """read(), read(-1), read(None), readall() and steps of any size give all of it."""
    message = sealer.seal(content(size), b"row")
    for read in (
        lambda reader: reader.read(),
        lambda reader: reader.read(-1),
        lambda reader: reader.read(None),
        lambda reader: reader.readall(),
        lambda reader: reader.read(10**15),
        lambda reader: b"".join(iter(lambda: reader.read(100_000), b"")),
        lambda reader: io.BufferedReader(reader).read(),
    ):
        assert read(open_message(sealer, message, b"row")) == content(size)


def test_an_envelope_is_read_by_position_too(sealer: Sealer) -> None:
    """The reader begins where the header ends, whatever its length."""
    envelope = sealer.wrap_data_key().sealer
    reader = open_message(envelope, envelope.seal(content(50_000), b"row"), b"row")
    reader.seek(-5, os.SEEK_END)
    assert reader.read() == content(50_000)[-5:]


def test_a_file_a_raw_file_and_a_mmap_are_read(sealer: Sealer, tmp_path: Path) -> None:
    """Whatever seeks and reads will do."""
    path = tmp_path / "sealed"
    path.write_bytes(sealer.seal(content(100_000)))
    with (
        path.open("rb") as buffered,
        path.open("rb", buffering=0) as raw,
        mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as memory,
    ):
        for file in (buffered, raw, memory):
            read_header(file)
            with sealer.open_range(file) as reader:  # type: ignore[arg-type]
                reader.seek(70_000)
                assert reader.read(10) == content(100_000)[70_000:70_010]


def test_a_message_may_begin_in_the_middle_of_a_file(sealer: Sealer) -> None:
    """Positions count from where the file stood; the message ends where the file does."""
    file = io.BytesIO(b"something else " + sealer.seal(content(40_000)))
    file.seek(15)
    read_header(file)
    reader = sealer.open_range(file)
    assert reader.seek(20_000) == 20_000
    assert reader.read(4) == content(40_000)[20_000:20_004]


def test_it_behaves_as_a_file_does(sealer: Sealer) -> None:
    """Seeking by all three origins, past the end too; nothing before the start."""
    reader = open_message(sealer, sealer.seal(content(40_000)))
    assert reader.readable()
    assert reader.seekable()
    assert not reader.writable()
    assert reader.seek(10) == 10
    assert reader.seek(5, os.SEEK_CUR) == 15
    assert reader.seek(-1, os.SEEK_END) == 39_999
    assert reader.read(5) == content(40_000)[-1:]
    assert reader.seek(50_000) == 50_000
    assert reader.read(5) == b""
    assert reader.readinto(bytearray(5)) == 0
    assert reader.tell() == 50_000
    assert reader.seek(0) == 0
    assert reader.read(0) == b""
    with pytest.raises(ValueError, match="before the start"):
        reader.seek(-1)
    with pytest.raises(ValueError, match="whence"):
        reader.seek(0, 9)
    assert repr(reader) == "<SealedReader of 40000 bytes>"


def test_closing_forgets_the_key_and_keeps_the_file(sealer: Sealer) -> None:
    """A closed reader reads no more; the file is its owner's to close; no pickle, no key shown."""
    file = io.BytesIO(sealer.seal(content(40_000)))
    read_header(file)
    reader = sealer.open_range(file)
    with pytest.raises(TypeError):
        pickle.dumps(reader)
    reader.close()
    reader.close()
    assert not file.closed
    assert not {"_key", "_cached"} & vars(reader).keys()
    for call in (reader.read, reader.tell, lambda: reader.seek(0), lambda: reader.readinto(b"")):
        with pytest.raises(ValueError, match="closed"):
            call()


# What it touches --------------------------------------------------------------------------


def test_only_the_chunks_in_the_range_are_read(sealer: Sealer) -> None:
    """Opening reads head and final chunk; a range reads its chunks and not a byte beside them."""
    file = Counting(sealer.seal(content(100 * CHUNK + 50)))
    file.seek(PREFIX)
    reader = sealer.open_range(file)
    start = PREFIX + HEAD
    assert file.touched == [(PREFIX, HEAD), (start + 100 * SEALED_CHUNK, 66)]
    file.touched.clear()
    reader.seek(42 * CHUNK - 1)
    assert reader.read(2) == content(100 * CHUNK + 50)[42 * CHUNK - 1 : 42 * CHUNK + 1]
    assert file.touched == [(start + 41 * SEALED_CHUNK, 2 * SEALED_CHUNK)]


def test_reading_on_decrypts_no_chunk_twice(sealer: Sealer) -> None:
    """Small steps are served from the chunk at hand, and the final one is from opening."""
    file = Counting(sealer.seal(content(20 * CHUNK + 50)))
    file.seek(PREFIX)
    reader = sealer.open_range(file)
    file.touched.clear()
    reader.seek(20 * CHUNK)
    assert len(reader.read()) == 50
    assert file.touched == []
    reader.seek(0)
    while reader.read(5_000):
        pass
    assert sum(count for _, count in file.touched) <= 20 * SEALED_CHUNK + 66


def test_long_ranges_are_read_in_bounded_runs(sealer: Sealer, tmp_path: Path) -> None:
    """256 KiB of a file of this machine, which stay in the cache; 4 MiB of what may be far."""

    class CountingFile(io.FileIO):
        runs: ClassVar[list[int]] = []

        def readinto(self, buffer: Any, /) -> int:
            self.runs.append(len(buffer) // SEALED_CHUNK)
            return super().readinto(buffer)

    data = content(300 * CHUNK)
    file = Counting(sealer.seal(data))
    (tmp_path / "near").write_bytes(file.getvalue())
    file.seek(PREFIX)
    reader = sealer.open_range(file)
    file.touched.clear()
    assert reader.read() == data
    assert [count // SEALED_CHUNK for _, count in file.touched] == [256, 44]
    with CountingFile(tmp_path / "near") as near:
        near.seek(PREFIX)
        reader = sealer.open_range(near)
        near.runs.clear()
        assert reader.read() == data
        assert near.runs == [16] * 18 + [12]


def test_what_was_filled_before_a_changed_chunk_is_wiped(sealer: Sealer) -> None:
    """Nobody is to use a part of what a call was asked for."""
    message = bytearray(sealer.seal(content(40 * CHUNK)))
    message[30 * SEALED_CHUNK] ^= 1
    file = io.BytesIO(message)
    file.seek(PREFIX)
    buffer = bytearray(b"x" * (40 * CHUNK))
    with pytest.raises(DecryptionError):
        sealer.open_range(file).readinto(buffer)
    assert not any(buffer)


# What it refuses --------------------------------------------------------------------------


def test_any_flipped_bit_of_a_small_message_is_refused_on_opening(sealer: Sealer) -> None:
    """The only chunk is the final one, so that every bit counts before the first read."""
    message = sealer.seal(b"ten bytes!")
    for position in range(PREFIX * 8, len(message) * 8):
        changed = bytearray(message)
        changed[position // 8] ^= 1 << position % 8
        file = io.BytesIO(changed)
        file.seek(PREFIX)
        with pytest.raises(DecryptionError):
            sealer.open_range(file)


def test_a_cut_file_yields_nothing(sealer: Sealer) -> None:
    """Whatever length it is cut to, opening fails, cuts between two chunks included."""
    small = sealer.seal(b"ten bytes!")
    large = sealer.seal(content(3 * CHUNK + 100))
    cuts = [small[:length] for length in range(PREFIX, len(small))]
    for chunk in (0, 1, 2, 3):
        border = PREFIX + HEAD + chunk * SEALED_CHUNK
        cuts += [large[:length] for length in range(border - 18, border + 18)]
    for cut in cuts:
        with pytest.raises(DecryptionError):
            open_message(sealer, cut)


def test_another_key_or_associated_data_is_refused_on_opening(sealer: Sealer) -> None:
    """The commitment is checked before anything else."""
    message = sealer.seal(content(40_000), b"row 17")
    for opener, associated_data in (
        (sealer, b"row 18"),
        (sealer, b""),
        (Sealer.sealed(bytes(32), HANDLE), b"row 17"),
        (Sealer.sealed(KEY, b"another."), b"row 17"),
    ):
        with pytest.raises(DecryptionError):
            open_message(opener, message, associated_data)


def test_another_commitment_is_refused_although_every_chunk_is_right(sealer: Sealer) -> None:
    """Key commitment: what another key could open as well is not opened at all."""
    message = bytearray(sealer.seal(content(100)))
    message[PREFIX + 24 + 31] ^= 0x80
    with pytest.raises(DecryptionError):
        open_message(sealer, bytes(message))


@pytest.mark.parametrize("how", ["flip", "swap", "repeat"])
def test_a_bad_chunk_fails_its_read_and_all_after_it(sealer: Sealer, how: str) -> None:
    """Ranges beside it are read; the first that touches it kills the reader."""
    message = bytearray(sealer.seal(content(6 * CHUNK + 100)))
    at = [PREFIX + HEAD + number * SEALED_CHUNK for number in range(7)]
    third, fourth = message[at[2] : at[3]], message[at[3] : at[4]]
    if how == "flip":
        message[at[2]] ^= 1
    elif how == "swap":
        message[at[2] : at[4]] = fourth + third
    else:
        message[at[2] : at[3]] = fourth
    reader = open_message(sealer, bytes(message))
    assert reader.read(2 * CHUNK) == content(2 * CHUNK)
    with pytest.raises(DecryptionError):
        reader.read(1)
    for call in (
        lambda: reader.seek(0),
        lambda: reader.read(1),
        lambda: reader.read(0),
        lambda: reader.readall(),
        lambda: reader.readinto(bytearray(1)),
        lambda: reader.tell(),
    ):
        with pytest.raises(DecryptionError):
            call()


def test_a_run_with_a_bad_chunk_returns_none_of_it(sealer: Sealer) -> None:
    """A range over good and bad chunks raises and gives back nothing."""
    message = bytearray(sealer.seal(content(6 * CHUNK)))
    message[PREFIX + HEAD + 4 * SEALED_CHUNK] ^= 1
    with pytest.raises(DecryptionError):
        open_message(sealer, bytes(message)).read()
    buffer = bytearray(6 * CHUNK)
    with pytest.raises(DecryptionError):
        open_message(sealer, bytes(message)).readinto(buffer)
    assert buffer == bytes(6 * CHUNK)


def test_a_file_cut_after_it_was_opened_is_refused(sealer: Sealer) -> None:
    """What is no longer there is not returned as a shorter answer."""
    file = io.BytesIO(sealer.seal(content(6 * CHUNK)))
    read_header(file)
    reader = sealer.open_range(file)
    file.truncate(PREFIX + HEAD + 2 * SEALED_CHUNK)
    assert reader.read(CHUNK) == content(CHUNK)
    with pytest.raises(DecryptionError):
        reader.read(2 * CHUNK)


def test_what_the_file_raises_arrives_and_kills_nothing(sealer: Sealer) -> None:
    """An outage is no tampering: the position stays, and the next try reads on."""

    class Flaky(io.BytesIO):
        down = False

        def readinto(self, buffer: Any, /) -> int:
            if self.down:
                raise OSError("the share is gone")
            return super().readinto(buffer)

    file = Flaky(sealer.seal(content(40 * CHUNK)))
    read_header(file)
    reader = sealer.open_range(file)
    reader.seek(CHUNK)
    file.down = True
    for call in (lambda: reader.read(30 * CHUNK), lambda: reader.readinto(bytearray(30 * CHUNK))):
        with pytest.raises(OSError, match="the share is gone"):
            call()
        assert reader.tell() == CHUNK
    file.down = False
    assert reader.read(10) == content(2 * CHUNK)[CHUNK : CHUNK + 10]


def test_a_message_of_too_many_chunks_is_refused(sealer: Sealer) -> None:
    """The counter ends at 2^38 chunks; a file that claims more is refused before it is read."""

    class Huge:
        position = 0

        def seek(self, offset: int, whence: int = 0, /) -> None:
            self.position = offset + (HEAD + (1 << 38) * SEALED_CHUNK + 16 if whence else 0)

        def tell(self) -> int:
            return self.position

        def read(self, size: int, /) -> bytes:
            raise AssertionError("nothing is to be read")

    with pytest.raises(DecryptionError):
        sealer.open_range(Huge())
