"""Bytes, streams and files for recipients, through the library."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from mycelium_fractal_net.files.recipients import (
    open_file_with,
    open_reader_with,
    open_stream_with,
    open_with,
    seal_file_to,
    seal_stream_to,
    seal_to,
)
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    BoundNameError,
    DecryptionError,
)
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.file_names import FileName
from mycelium_fractal_net.security.records.open_options import OpenOptions
from mycelium_fractal_net.security.sealed.recipients import RecipientKey
from tests.support.algorithms import HPKE

ALICE, BOB, CAROL = (RecipientKey.generate(HPKE) for _ in range(3))
BOTH = [ALICE.public, BOB.public]
ROW = OpenOptions(b"row 17")


def test_bytes_streams_and_positions_are_one_format() -> None:
    """What one of them seals every one opens."""
    data = bytes(range(256)) * 300
    written = io.BytesIO()
    assert seal_stream_to(BOTH, io.BytesIO(data), written, associated_data=b"row 17") == len(data)
    for message in (seal_to(BOTH, data, associated_data=b"row 17"), written.getvalue()):
        assert open_with([BOB], message, associated_data=b"row 17") == data
        plain = io.BytesIO()
        assert open_stream_with([BOB], io.BytesIO(message), plain, ROW) == len(data)
        assert plain.getvalue() == data
        with open_reader_with([ALICE], io.BytesIO(message), ROW) as reader:
            reader.seek(70_000)
            assert reader.read(10) == data[70_000:70_010]
        with pytest.raises(DecryptionError):
            open_with([CAROL], message, associated_data=b"row 17")
        with pytest.raises(DecryptionError):
            open_with([BOB], message)


def test_no_two_messages_have_a_key_in_common() -> None:
    """Each has a data key of its own."""
    assert seal_to(BOTH, b"same") != seal_to(BOTH, b"same")


def test_a_tar_goes_from_stream_to_stream() -> None:
    """As ``tar | mfn encrypt --to … | ssh`` has it: readers and writers that cannot seek."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("one.txt")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"one"))

    class Pipe:
        def __init__(self, data: bytes) -> None:
            self._data = io.BytesIO(data)

        def read(self, size: int = -1, /) -> bytes:
            return self._data.read(min(size, 7) if size >= 0 else -1)

    sealed, plain = io.BytesIO(), io.BytesIO()
    seal_stream_to(BOTH, Pipe(archive.getvalue()), sealed)
    open_stream_with([ALICE], Pipe(sealed.getvalue()), plain)
    assert plain.getvalue() == archive.getvalue()


def test_a_file_is_whole_under_its_name_or_not_there(tmp_path: Path) -> None:
    """A cut one opens to nothing; an output that exists is kept."""
    source, sealed, opened = (tmp_path / name for name in ("a", "a.mfn", "b"))
    source.write_bytes(bytes(50_000))
    source.chmod(0o640)
    assert seal_file_to(BOTH, source, sealed) == 50_000
    assert sealed.stat().st_mode & 0o777 == 0o640
    assert open_file_with([BOB], sealed, opened) == 50_000
    assert opened.read_bytes() == source.read_bytes()
    for again in (
        lambda: seal_file_to(BOTH, source, sealed),
        lambda: open_file_with([BOB], sealed, opened),
    ):
        with pytest.raises(FileExistsError):
            again()
    sealed.write_bytes(sealed.read_bytes()[:-1])
    opened.unlink()
    with pytest.raises(DecryptionError):
        open_file_with([BOB], sealed, opened)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "a.mfn"]


def test_a_name_that_is_bound_is_compared(tmp_path: Path) -> None:
    """Renamed it does not open, but under the name that it had; and one can be asked for."""
    source, sealed, moved = (tmp_path / name for name in ("a.txt", "a.txt.mfn", "b.txt.mfn"))
    source.write_bytes(b"plain")
    seal_file_to(BOTH, source, sealed, bind_name=True)
    open_file_with([BOB], sealed, tmp_path / "one", bind_name=True)
    sealed.rename(moved)
    with pytest.raises(BoundNameError):
        open_file_with([BOB], moved, tmp_path / "two")
    named = OpenOptions(name=FileName("a.txt"))
    assert open_file_with([BOB], moved, tmp_path / "two", named) == 5
    with pytest.raises(DecryptionError):
        open_with([BOB], moved.read_bytes())
    with open_reader_with([BOB], io.BytesIO(moved.read_bytes()), named) as reader:
        assert reader.read() == b"plain"
    unbound = tmp_path / "c.mfn"
    seal_file_to(BOTH, source, unbound)
    with pytest.raises(BoundNameError):
        open_file_with([BOB], unbound, tmp_path / "three", bind_name=True)


def test_what_the_policy_does_not_allow_is_not_used() -> None:
    """Neither to seal nor to open, and not only where it would have fitted."""
    message = seal_to(BOTH, b"plain")
    without = Policy(disallowed=(HPKE,))
    with pytest.raises(AlgorithmNotAllowedError):
        seal_to(BOTH, b"plain", policy=without)
    with pytest.raises(AlgorithmNotAllowedError):
        open_with([BOB], message, policy=without)


def test_a_fresh_key_is_of_the_first_suite_that_is_allowed() -> None:
    """X25519, and in FIPS mode P-256."""
    assert Policy().generate_recipient_key().public.algorithm == HPKE
    without = Policy(disallowed=("HPKE-X25519",))
    assert without.generate_recipient_key().public.algorithm == "HPKE-P256"
    none = Policy(disallowed=("AES-256-GCM",))
    with pytest.raises(AlgorithmNotAllowedError):
        none.generate_recipient_key()
