"""Sealed messages as streams and in pieces: same bytes, bounded memory, errors that arrive."""

from __future__ import annotations

import copy
import errno
import io
import os
import signal
import threading
import tracemalloc
from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.byte_io import buffers, write_behind
from mycelium_fractal_net.security.byte_io.write_behind import WriteBehind
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError
from mycelium_fractal_net.security.sealed.layout import (
    SEALED_BLOCK_BYTES,
    Form,
    Header,
    read_header,
)
from mycelium_fractal_net.security.sealed.sealer import Sealer

KEY = bytes(range(32))
HANDLE = b"\x10\x21\x32\x43\x54\x65\x76\x87"
CHUNK = 16_384
SEALED_CHUNK = CHUNK + 16
BLOCK = 16 * CHUNK
MIB = 1 << 20
BODY = 12 + 56
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, BLOCK - 1, BLOCK, BLOCK + 1, MIB, MIB + BLOCK + 77]


def content(size: int) -> bytes:
    """Bytes in which no two chunks are alike."""
    return array("Q", range(size // 8 + 1)).tobytes()[:size]


@pytest.fixture
def sealer() -> Sealer:
    return Sealer.sealed(KEY, HANDLE)


def seal(sealer: Sealer, plaintext: bytes, associated_data: bytes = b"") -> bytes:
    """``plaintext`` through the stream."""
    written = io.BytesIO()
    assert sealer.seal_stream(io.BytesIO(plaintext), written, associated_data) == len(plaintext)
    return written.getvalue()


def unseal(sealer: Sealer, message: bytes, associated_data: bytes = b"") -> bytes:
    """``message`` through the stream, its header first."""
    reader, written = io.BytesIO(message), io.BytesIO()
    header = read_header(reader)
    assert header.raw == message[: len(header.raw)]
    count = sealer.open_stream(reader, written, associated_data)
    assert count == len(written.getvalue())
    return written.getvalue()


class Trickle:
    """A reader that has only ``read`` and returns fewer bytes than it is asked for."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = io.BytesIO(data)
        self._step = step
        self.ends = 0

    def read(self, size: int, /) -> bytes:
        """At most ``step`` bytes."""
        data = self._data.read(min(size, self._step))
        self.ends += not data
        return data


class Sips(io.BytesIO):
    """A writer that takes at most 10,001 bytes at a time, as a raw pipe may."""

    def write(self, data: Any, /) -> int:
        """Some of ``data``."""
        return super().write(memoryview(data)[:10_001])


def writer_threads() -> list[threading.Thread]:
    """The threads that streams have left running."""
    return [thread for thread in threading.enumerate() if thread.name == "mfn-stream-writer"]


# The same bytes ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_a_stream_and_a_call_make_messages_that_both_open(sealer: Sealer, size: int) -> None:
    """Sealing by stream opens by call and the reverse, at every border of chunk and block."""
    plaintext = content(size)
    by_stream = seal(sealer, plaintext, b"row")
    by_call = sealer.seal(plaintext, b"row")
    assert len(by_stream) == len(by_call)
    assert sealer.open(by_stream, b"row") == plaintext
    assert unseal(sealer, by_call, b"row") == plaintext


@pytest.mark.parametrize("size", SIZES)
def test_files_go_through_the_writer_thread_unchanged(
    sealer: Sealer, size: int, tmp_path: Path
) -> None:
    """Real files, buffered and raw, around the size at which the thread starts."""
    plain, sealed, back = tmp_path / "plain", tmp_path / "sealed", tmp_path / "back"
    plain.write_bytes(content(size))
    with plain.open("rb") as reader, sealed.open("wb", buffering=0) as writer:
        assert sealer.seal_stream(reader, writer) == size
    with sealed.open("rb", buffering=0) as reader, back.open("wb") as writer:
        assert read_header(reader) == Header(Form.SEALED, HANDLE)
        assert sealer.open_stream(reader, writer) == size
    assert back.read_bytes() == content(size)
    assert sealer.open(sealed.read_bytes()) == content(size)
    assert not writer_threads()


@given(step=st.integers(1, 70_000), size=st.integers(0, 3 * CHUNK))
def test_short_reads_and_short_writes_change_nothing(step: int, size: int) -> None:
    """However little a reader gives or a writer takes at a time, the bytes are the same."""
    step = max(step, size // 50)  # bounds the number of calls
    sealer = Sealer.sealed(KEY, HANDLE)
    sealed = Sips()
    reader = Trickle(content(size), step)
    assert sealer.seal_stream(reader, sealed) == size
    assert reader.ends == 1  # a terminal would have to be told twice
    back = Sips()
    sealed_reader = Trickle(sealed.getvalue(), step)
    read_header(sealed_reader)
    assert sealer.open_stream(sealed_reader, back) == size
    assert back.getvalue() == content(size)


def feed_and_close(writer: BinaryIO, data: bytes) -> None:
    """Write all there is and end the stream."""
    writer.write(data)
    writer.close()


def drain_into(found: list[bytes], reader: BinaryIO) -> None:
    """Keep all that comes."""
    found.append(reader.read())


def test_pipes_that_cannot_seek_work_at_both_ends(sealer: Sealer) -> None:
    """A message of some MiB flows through pipes in both directions."""
    plaintext = content(2 * MIB + 5)
    messages: list[bytes] = []

    def in_thread(work: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=work)
        thread.start()
        return thread

    for feed in (plaintext, sealer.seal(plaintext)):
        in_read, in_write = os.pipe()
        out_read, out_write = os.pipe()
        with open(in_write, "wb") as source, open(out_read, "rb") as drain:
            feeding = in_thread(partial(feed_and_close, source, feed))
            draining = in_thread(partial(drain_into, messages, drain))
            with open(in_read, "rb", buffering=0) as reader, open(out_write, "wb") as writer:
                if feed is plaintext:
                    assert sealer.seal_stream(reader, writer) == len(plaintext)
                else:
                    read_header(reader)
                    assert sealer.open_stream(reader, writer) == len(plaintext)
            feeding.join()
            draining.join()
    assert sealer.open(messages[0]) == plaintext
    assert messages[1] == plaintext


def test_an_envelope_streams_too(sealer: Sealer) -> None:
    """The prefix of 116 bytes is written by sealing and read by the header."""
    data_key = sealer.wrap_data_key(b"lease")
    message = seal(data_key.sealer, content(100), b"row")
    header = read_header(io.BytesIO(message))
    assert header == Header(Form.ENVELOPE, HANDLE, data_key.wrapped)
    assert unseal(data_key.sealer, message, b"row") == content(100)


@pytest.mark.parametrize("size", SIZES)
def test_progress_adds_up_to_what_was_read(sealer: Sealer, size: int) -> None:
    """Each call says how many bytes were read since the last; none of them is zero."""
    steps: list[int] = []
    sealed, back = io.BytesIO(), io.BytesIO()
    sealer.seal_stream(io.BytesIO(content(size)), sealed, progress=steps.append)
    assert sum(steps) == size
    assert 0 not in steps
    steps.clear()
    sealed.seek(12)
    sealer.open_stream(sealed, back, progress=steps.append)
    assert sum(steps) == len(sealed.getvalue()) - 12
    assert 0 not in steps


def test_the_memory_of_a_stream_does_not_grow_with_it(sealer: Sealer) -> None:
    """32 MiB through seal and open stay below 4 MiB at their peak."""

    class Zeros:
        left = 32 * MIB

        def read(self, size: int, /) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return bytes(size)

    class Chain:
        def __init__(self) -> None:
            self.decryptor = sealer.decryptor()
            self.header = True
            self.count = 0

        def write(self, data: memoryview, /) -> int:
            if self.header:
                self.header = False
            else:
                self.count += len(self.decryptor.update(data))
            return len(data)

    chain = Chain()
    tracemalloc.start()
    try:
        sealer.seal_stream(Zeros(), chain)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert chain.count + len(chain.decryptor.finalize()) == 32 * MIB
    assert peak < 4 * MIB


def test_a_stream_inside_a_stream_disturbs_nothing(sealer: Sealer) -> None:
    """Sealing from a callback, as from a signal handler, takes memory of its own."""
    inner = content(3 * BLOCK)

    def interrupt(_: int) -> None:
        assert unseal(sealer, seal(sealer, inner)) == inner
        assert sealer.open(sealer.seal(inner)) == inner

    plaintext = content(2 * BLOCK + 9)[::-1]
    sealed, back = io.BytesIO(), io.BytesIO()
    sealer.seal_stream(io.BytesIO(plaintext), sealed, progress=interrupt)
    sealed.seek(12)
    sealer.open_stream(sealed, back, progress=interrupt)
    assert back.getvalue() == plaintext


# The thread -------------------------------------------------------------------------------


class Watched(io.FileIO):
    """A real file that remembers which thread wrote how much."""

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__(path, mode)
        self.writes: list[tuple[int, int]] = []

    def write(self, data: Any, /) -> int:
        """Write and remember."""
        self.writes.append((threading.get_ident(), len(data)))
        return super().write(data) or 0


@pytest.mark.parametrize(("size", "threaded"), [(MIB - 1, False), (MIB + BLOCK, True)])
def test_only_long_files_are_written_by_a_thread(
    sealer: Sealer, size: int, threaded: bool, tmp_path: Path
) -> None:
    """The first MiB is written by the caller, and what follows it by the thread."""
    plain = tmp_path / "plain"
    plain.write_bytes(content(size))
    with plain.open("rb") as reader, Watched(tmp_path / "sealed", "wb") as writer:
        sealer.seal_stream(reader, writer)
    others = [count for thread, count in writer.writes if thread != threading.get_ident()]
    assert bool(others) is threaded


def test_what_is_no_file_is_written_by_the_caller(sealer: Sealer, tmp_path: Path) -> None:
    """A reader or writer that may block, or is an object, never meets another thread."""
    plaintext = content(MIB + BLOCK)
    plain = tmp_path / "plain"
    plain.write_bytes(plaintext)
    with Watched(tmp_path / "sealed", "wb") as writer:
        sealer.seal_stream(io.BytesIO(plaintext), writer)
    assert {thread for thread, _ in writer.writes} == {threading.get_ident()}

    seen = set()

    class Bag:
        def write(self, data: memoryview, /) -> int:
            seen.add(threading.get_ident())
            return len(data)

    with plain.open("rb") as reader:
        sealer.seal_stream(reader, Bag())
    assert seen == {threading.get_ident()}


def test_a_thread_that_cannot_start_is_an_error_that_arrives(
    sealer: Sealer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system gives no thread, the stream raises what it said and hangs nowhere."""

    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(write_behind, "Thread", NoThread)
    plain = tmp_path / "plain"
    plain.write_bytes(content(MIB + 1))
    with (
        plain.open("rb") as reader,
        (tmp_path / "sealed").open("wb") as writer,
        pytest.raises(RuntimeError, match="can't start new thread"),
    ):
        sealer.seal_stream(reader, writer)


class Gate:
    """A writer whose first write waits for the gate and may then fail."""

    def __init__(self, error: OSError | None) -> None:
        self.begun, self.gate = threading.Event(), threading.Event()
        self.error = error
        self.writes = 0

    def write(self, data: memoryview, /) -> int:
        """Wait; fail or take it all."""
        self.writes += 1
        self.begun.set()
        self.gate.wait(10)
        if self.error:
            raise self.error
        return len(data)


def waiting_blocks(writer: Gate) -> WriteBehind:
    """Three blocks put: the first is being written, two wait."""
    output = WriteBehind(writer)
    output.start_thread()
    for block in [output.take() for _ in range(3)]:
        output.put(block, 10)
    assert writer.begun.wait(10)
    return output


def test_an_error_of_the_last_writes_is_not_lost() -> None:
    """It is raised by finish when nothing is taken any more; what waited is not written."""
    error = OSError(errno.ENOSPC, "full")
    writer = Gate(error)
    output = waiting_blocks(writer)
    writer.gate.set()
    with pytest.raises(OSError, match="full"):
        output.finish()
    output.stop(secret=True)
    assert writer.writes == 1


def test_stopping_drops_what_waits() -> None:
    """When something else went wrong, the thread ends with the write that it is in."""
    writer = Gate(None)
    output = waiting_blocks(writer)
    threading.Timer(0.05, writer.gate.set).start()
    output.stop(secret=True)
    assert writer.writes == 1
    assert not writer_threads()


# Errors of reader and writer --------------------------------------------------------------


class Failing(io.FileIO):
    """A real file, one of whose reads or writes fails: the one after ``calls`` good ones."""

    def __init__(self, path: Path, mode: str, calls: int, error: BaseException) -> None:
        super().__init__(path, mode)
        self.left = calls
        self.error = error

    def _count(self) -> None:
        self.left -= 1
        if self.left == -1:
            raise self.error

    def write(self, data: Any, /) -> int:
        """Write or fail."""
        self._count()
        return super().write(data) or 0

    def readinto(self, buffer: Any, /) -> int:
        """Read or fail."""
        self._count()
        return super().readinto(buffer) or 0


@pytest.mark.parametrize("calls", [0, 1, 3, 5, 6, 9, 23, 24])
@pytest.mark.parametrize("opening", [False, True])
@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), ValueError("closed"), KeyboardInterrupt()],
)
def test_what_a_writer_raises_arrives_as_it_was(
    sealer: Sealer, tmp_path: Path, calls: int, opening: bool, error: BaseException
) -> None:
    """A full disk, from either thread, stops the reading at once and is the error one sees."""
    error = copy.copy(error)  # its traceback keeps the blocks, and the parameter stays for ever
    plaintext = content(24 * BLOCK + 5)
    source = tmp_path / "source"
    source.write_bytes(sealer.seal(plaintext)[12:] if opening else plaintext)
    reads = Watched(source, "rb")
    with reads as reader, Failing(tmp_path / "target", "wb", calls, error) as writer:
        with pytest.raises(type(error)) as caught:
            (sealer.open_stream if opening else sealer.seal_stream)(reader, writer)
        assert caught.value is error
        # Blocks under way when it failed: in the queue, in work, and one just begun.
        assert reader.tell() <= (calls + 4) * SEALED_BLOCK_BYTES
        assert writer.left == -1, "something was written behind the gap"
    assert not writer_threads()


@pytest.mark.parametrize("calls", [0, 1, 4, 6, 9])
@pytest.mark.parametrize("opening", [False, True])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O error"), KeyboardInterrupt()])
def test_what_a_reader_raises_arrives_as_it_was(
    sealer: Sealer, tmp_path: Path, calls: int, opening: bool, error: BaseException
) -> None:
    """An unreadable sector is no tampering; the thread is joined before the caller hears of it."""
    error = copy.copy(error)  # its traceback keeps the blocks, and the parameter stays for ever
    plaintext = content(12 * BLOCK)
    source = tmp_path / "source"
    source.write_bytes(sealer.seal(plaintext)[12:] if opening else plaintext)
    with Failing(source, "rb", calls, error) as reader, (tmp_path / "target").open("wb") as writer:
        with pytest.raises(type(error)) as caught:
            (sealer.open_stream if opening else sealer.seal_stream)(reader, writer)
        assert caught.value is error
    assert not writer_threads()


def test_an_interrupt_while_the_thread_writes_stops_both(sealer: Sealer, tmp_path: Path) -> None:
    """Ctrl-C reaches the caller's thread wherever it waits, and the writer ends with it."""

    class Interrupting(io.FileIO):
        calls = 0

        def write(self, data: Any, /) -> int:
            self.calls += 1
            if self.calls == 8:
                assert threading.current_thread() is not threading.main_thread()
                signal.raise_signal(signal.SIGINT)
            return super().write(data) or 0

    plain = tmp_path / "plain"
    plain.write_bytes(content(40 * BLOCK))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with plain.open("rb") as reader, Interrupting(tmp_path / "sealed", "wb") as writer:
            with pytest.raises(KeyboardInterrupt):
                sealer.seal_stream(reader, writer)
            assert writer.calls < 40
    finally:
        signal.signal(signal.SIGINT, before)
    assert not writer_threads()


def test_what_progress_raises_stops_the_stream(sealer: Sealer, tmp_path: Path) -> None:
    """A callback may cancel; the thread is joined all the same."""
    plain = tmp_path / "plain"
    plain.write_bytes(content(8 * BLOCK))
    left = 6

    def cancel(_: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise InterruptedError("enough")

    with (
        plain.open("rb") as reader,
        (tmp_path / "sealed").open("wb") as writer,
        pytest.raises(InterruptedError, match="enough"),
    ):
        sealer.seal_stream(reader, writer, progress=cancel)
    assert not writer_threads()


def test_a_full_device_is_an_os_error(sealer: Sealer) -> None:
    """The device that is always full says ENOSPC, and so does the stream."""
    with open("/dev/full", "wb", buffering=0) as writer:
        with pytest.raises(OSError, match="No space left"):
            sealer.seal_stream(io.BytesIO(content(10)), writer)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(None, BlockingIOError), (0, OSError), (-1, OSError), (10_000_000, OSError)],
)
def test_a_writer_that_takes_nothing_is_an_os_error(
    sealer: Sealer, answer: int | None, expected: type[OSError]
) -> None:
    """A count that cannot be true never loses a byte in silence nor loops for ever."""

    class Odd:
        def write(self, data: memoryview, /) -> int | None:
            return answer

    with pytest.raises(expected):
        sealer.seal_stream(io.BytesIO(b"x"), Odd())


def test_a_reader_that_is_not_ready_or_lies_is_an_os_error(sealer: Sealer) -> None:
    """None from a non-blocking reader is not its end; more than asked for is no answer."""

    class Odd:
        def __init__(self, answer: Any) -> None:
            self.answer = answer

        def read(self, size: int, /) -> Any:
            return self.answer

    class OddInto(Odd):
        def readinto(self, buffer: memoryview, /) -> Any:
            return self.answer

    for reader, expected in (
        (Odd(None), BlockingIOError),
        (OddInto(None), BlockingIOError),
        (Odd(bytes(10_000_000)), OSError),
        (OddInto(10_000_000), OSError),
        (OddInto(-1), OSError),
        (Odd("text"), InvalidInputError),
    ):
        with pytest.raises(expected):
            sealer.seal_stream(reader, io.BytesIO())
        with pytest.raises(expected):
            sealer.open_stream(reader, io.BytesIO())


def test_a_text_file_is_refused_with_its_reason(sealer: Sealer) -> None:
    """A reader opened without "b" is told so."""
    reader: Any = io.StringIO("text")
    with pytest.raises(InvalidInputError, match="binary"):
        sealer.seal_stream(reader, io.BytesIO())


# What does not open -----------------------------------------------------------------------


def test_any_flipped_bit_is_refused_by_a_stream(sealer: Sealer) -> None:
    """Each bit behind the header of a small message; nothing of it is written."""
    message = sealer.seal(b"ten bytes!")[12:]
    for position in range(len(message) * 8):
        changed = bytearray(message)
        changed[position // 8] ^= 1 << position % 8
        written = io.BytesIO()
        with pytest.raises(DecryptionError):
            sealer.open_stream(io.BytesIO(changed), written)
        assert written.getvalue() == b""


def test_a_stream_cut_at_any_length_is_refused(sealer: Sealer) -> None:
    """All of a small message's beginnings, and those of a large one near its borders."""
    small = sealer.seal(b"ten bytes!")[12:]
    large = sealer.seal(content(2 * CHUNK + 100))[12:]
    cuts = [small[:length] for length in range(len(small))]
    for border in (56 + SEALED_CHUNK, 56 + 2 * SEALED_CHUNK, len(large)):
        cuts += [large[:length] for length in range(border - 18, min(border + 18, len(large)))]
    for cut in cuts:
        with pytest.raises(DecryptionError):
            sealer.open_stream(io.BytesIO(cut), io.BytesIO())


@pytest.mark.parametrize("chunk", [0, 1, 15, 16, 17, 70, 80, 85])
def test_a_writer_gets_authenticated_chunks_only(
    sealer: Sealer, chunk: int, tmp_path: Path
) -> None:
    """Of a message with one bad chunk at most the chunks before it are written."""
    plaintext = content(85 * CHUNK + 5)
    message = bytearray(sealer.seal(plaintext)[12:])
    message[56 + chunk * SEALED_CHUNK] ^= 1
    source = tmp_path / "source"
    source.write_bytes(message)
    with source.open("rb") as reader, (tmp_path / "target").open("wb") as writer:
        with pytest.raises(DecryptionError):
            sealer.open_stream(reader, writer)
    written = (tmp_path / "target").read_bytes()
    assert plaintext[: chunk * CHUNK].startswith(written)
    assert len(written) % CHUNK == 0
    assert not writer_threads()


def _pooled_blocks_hold(secret: bytes) -> bool:
    blocks = [buffers.scratch() for _ in range(20)]
    held = any(secret in block for block in blocks)
    for block in blocks:
        buffers.release(block)
    return held


def test_no_plaintext_stays_in_the_blocks_of_a_stream(sealer: Sealer, tmp_path: Path) -> None:
    """After sealing, opening, rewrapping and failing, the pooled blocks are clean."""
    secret = os.urandom(16)
    plaintext = secret * (MIB // 8)
    message = seal(sealer, plaintext)
    assert not _pooled_blocks_hold(secret)
    assert unseal(sealer, message) == plaintext
    assert not _pooled_blocks_hold(secret)
    sealer.rewrap_stream(sealer, io.BytesIO(message[12:]), io.BytesIO())
    assert not _pooled_blocks_hold(secret)
    for position in (-1, 20_000):
        changed = bytearray(message)
        changed[position] ^= 1
        with pytest.raises(DecryptionError):
            unseal(sealer, bytes(changed))
        assert not _pooled_blocks_hold(secret)


# Headers from streams ---------------------------------------------------------------------


def test_a_header_is_read_to_its_end_and_no_further(sealer: Sealer) -> None:
    """Behind it the reader stands at the salt, also where it gives a byte at a time."""
    for which in (sealer, sealer.wrap_data_key().sealer):
        message = which.seal(b"hello")
        reader = Trickle(message, 1)
        header = read_header(reader)
        assert header.raw + reader.read(1) == message[: len(header.raw) + 1]


@pytest.mark.parametrize(
    "start",
    [b"", b"MFN", b"MFN\x01" + bytes(7), b"MFN\x02" + bytes(8 + 103), b"MFN\x03" + bytes(200)],
)
def test_a_header_that_is_none_is_refused(start: bytes) -> None:
    """Short or unknown, from a stream as from bytes."""
    with pytest.raises(DecryptionError):
        read_header(io.BytesIO(start))


# Rewrapping -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_a_message_moves_to_another_key_in_a_stream(
    sealer: Sealer, size: int, tmp_path: Path
) -> None:
    """Opened under the old key and sealed under the new, with the same associated data."""
    newer = Sealer.sealed(bytes(32), b"newerkey")
    steps: list[int] = []
    for which in (sealer, sealer.wrap_data_key().sealer):
        old, new = tmp_path / "old", tmp_path / "new"
        message = which.seal(content(size), b"row")
        old.write_bytes(message)
        steps.clear()
        with old.open("rb") as reader, new.open("wb") as writer:
            header = read_header(reader)
            assert which.rewrap_stream(newer, reader, writer, b"row", steps.append) == size
        assert newer.open(new.read_bytes(), b"row") == content(size)
        assert sum(steps) == len(message) - len(header.raw)


def test_a_damaged_message_does_not_move(sealer: Sealer) -> None:
    """Wrong associated data, a flipped bit or a cut raise; no finished message is written."""
    newer = Sealer.sealed(bytes(32), b"newerkey")
    body = sealer.seal(content(CHUNK + 10), b"row")[12:]
    for bad, associated_data in (
        (body, b"other"),
        (body[:-1], b"row"),
        (body[: 56 + SEALED_CHUNK], b"row"),
        (body[:40], b"row"),
        (body[:-1] + bytes([body[-1] ^ 1]), b"row"),
    ):
        written = io.BytesIO()
        with pytest.raises(DecryptionError):
            sealer.rewrap_stream(newer, io.BytesIO(bad), written, associated_data)
        with pytest.raises(DecryptionError):
            newer.open(written.getvalue(), associated_data)


# In pieces --------------------------------------------------------------------------------


@given(size=st.integers(0, 3 * CHUNK), step=st.integers(1, 40_000))
def test_pieces_make_the_same_message(size: int, step: int) -> None:
    """Whatever the pieces, the message opens in one; and in pieces, to the same plaintext."""
    step = max(step, size // 50)
    sealer = Sealer.sealed(KEY, HANDLE)
    plaintext = content(size)
    encryptor, decryptor = sealer.encryptor(b"row"), sealer.decryptor(b"row")
    parts = [encryptor.update(plaintext[at : at + step]) for at in range(0, size, step)]
    message = b"".join([*parts, encryptor.finalize()])
    assert sealer.open(message, b"row") == plaintext
    body = message[12:]
    opened = [decryptor.update(body[at : at + step]) for at in range(0, len(body), step)]
    assert b"".join([*opened, decryptor.finalize()]) == plaintext


def test_the_first_piece_begins_with_the_prefix(sealer: Sealer) -> None:
    """Even an empty update gives it, and a message without updates has it in its end."""
    first = sealer.encryptor().update(b"")
    assert first.startswith(b"MFN\x01" + HANDLE)
    assert sealer.open(sealer.encryptor().finalize()) == b""


def test_a_finished_message_takes_nothing_more(sealer: Sealer) -> None:
    """Going on after the end is a mistake of the caller, and no tampering."""
    encryptor, decryptor = sealer.encryptor(), sealer.decryptor()
    decryptor.update(encryptor.finalize()[12:])
    decryptor.finalize()
    for call in (
        encryptor.finalize,
        decryptor.finalize,
        lambda: encryptor.update(b"x"),
        lambda: decryptor.update(b"x"),
    ):
        with pytest.raises(InvalidInputError):
            call()


def test_a_failed_message_stays_failed(sealer: Sealer) -> None:
    """After one error no piece is opened any more, the right ones included."""
    body = sealer.seal(content(2 * CHUNK))[12:]
    bad = bytearray(body)
    bad[100] ^= 1
    decryptor = sealer.decryptor()
    with pytest.raises(DecryptionError):
        decryptor.update(bad)
    for _ in range(2):
        with pytest.raises(DecryptionError):
            decryptor.update(body)
        with pytest.raises(DecryptionError):
            decryptor.finalize()
    short = sealer.decryptor()
    short.update(body[:56])
    with pytest.raises(DecryptionError):
        short.finalize()
    with pytest.raises(DecryptionError):
        short.finalize()
