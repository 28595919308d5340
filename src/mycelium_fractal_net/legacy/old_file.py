"""One file of the XOR cipher: sealed in its place, and for good, or back.

What it was stays beside it under ``FILE.xor-old``, a second name of the same file, so mode, owner
and times are the old ones. First it gets that name, then the sealed file gets the first one: at
whatever moment a run is killed, the file under its name opens, as old or as new.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from mycelium_fractal_net.files.new_file import NewFile
from mycelium_fractal_net.files.permissions import acl_of
from mycelium_fractal_net.files.replacing import GRACE_SECONDS, Replaced, settled_status
from mycelium_fractal_net.files.single import open_source
from mycelium_fractal_net.legacy.xor_format import open_xor
from mycelium_fractal_net.security.byte_io.durable import sync_folder
from mycelium_fractal_net.security.errors import DecryptionError, FileBusyError, InvalidInputError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions

OLD_SUFFIX: Final = ".xor-old"
# A message is opened as a whole, in some six times its size of memory.
_MOST_BYTES: Final = 256 << 20
_NOT_OLD: Final = "is no message of the XOR cipher, or one of another key"
_SEALED: Final = (b"MFN\x01", b"MFN\x02")  # the text of an old message may begin with MFN too


def migrate_old(
    keyring: Keyring, path: Path, key_id: str, options: OpenOptions = PLAIN, *, dry_run: bool
) -> int | None:
    """Seal the old message in ``path`` under ``key_id``; returns its bytes of data.

    None where it is sealed already. What is sealed is read back and opened before it takes the
    name. Mode, owner, times and access control list stay. With ``dry_run`` the old message is
    opened and nothing is written. Raises :class:`InvalidInputError` for what is no such message,
    :class:`FileExistsError` where another old one is kept already, and :class:`FileBusyError`,
    with everything as it was, where somebody changed the file meanwhile or has it open for
    writing.
    """
    with open_source(path, follow=False) as (reader, status, _):
        if _is_sealed(reader):
            return None
        if status.st_size > _MOST_BYTES:
            raise InvalidInputError("is larger than the 256 MiB that an old message may have here")
        _lock(reader)
        old = _whole(reader)
        data = _opened(keyring, old, options)
        if dry_run:
            return len(data)
        new = keyring.encrypt(data, key_id=key_id)
        made = _keep(path, status)
        try:
            # Its second name has just changed the file's status; from now on nothing may.
            settled = settled_status(reader.fileno())
            if _whole(reader) != old:
                raise FileBusyError("was changed meanwhile; it was left as it is")
            with _replacing(path, reader, settled) as output:
                output.file.write(new)
                output.finish(settled, acl=acl_of(reader.fileno()), times=True, owner=True)
                if keyring.decrypt(_whole(output.file)) != data:
                    raise OSError(errno.EIO, "was not read back as it was written", str(path))
        except BaseException:
            if made is not None:
                made.unlink(missing_ok=True)
            raise
        return len(data)


@contextmanager
def _replacing(path: Path, reader: BinaryIO, settled: os.stat_result) -> Iterator[NewFile]:
    """A file to write, which takes the place of the open one, and of no other, at the end."""
    output = NewFile(path, place=Replaced(reader.fileno(), settled))
    try:
        yield output
        output.sync()
        output.publish(force=True)
        time.sleep(GRACE_SECONDS)
        output.settle()
    finally:
        output.discard()


def commit_old(keyring: Keyring, path: Path) -> int:
    """Remove the old message that is kept beside ``path``, if what has the name now is sealed and
    opens; returns the bytes of the old one.

    Raises :class:`FileBusyError` where it is not sealed or does not open.
    """
    kept = path.with_name(path.name + OLD_SUFFIX)
    size = kept.lstat().st_size
    with open_source(path, follow=False) as (reader, _, _):
        if not _is_sealed(reader):
            raise FileBusyError("is not sealed, so the old one beside it was kept")
        try:
            with Path(os.devnull).open("wb", buffering=0) as nowhere:
                keyring.decrypt_stream(reader, nowhere)
        except DecryptionError:
            raise FileBusyError("does not open, so the old one beside it was kept") from None
    kept.unlink()
    return size


def roll_back_old(keyring: Keyring, path: Path, options: OpenOptions = PLAIN) -> int:
    """Put the old message that is kept beside ``path`` in its place again; returns its bytes.

    Raises :class:`FileBusyError` where the two do not hold the same: somebody wrote to ``path``
    since, and that is not to be lost.
    """
    kept = path.with_name(path.name + OLD_SUFFIX)
    with (
        open_source(path, follow=False) as (reader, status, _),
        open_source(kept, follow=False) as (source, old_status, acl),
    ):
        # A run was killed before the new one took the name, or after the old one had it back.
        if (status.st_dev, status.st_ino) == (old_status.st_dev, old_status.st_ino):
            kept.unlink()
            return old_status.st_size
        _lock(reader)
        settled = settled_status(reader.fileno())
        present, old = _whole(reader), _whole(source)
        if present != old:
            if not _hold_the_same(keyring, present, old, options):
                raise FileBusyError("holds something else by now, so both were left as they are")
            with _replacing(path, reader, settled) as output:
                output.file.write(old)
                output.finish(old_status, acl=acl, times=True, owner=True)
    sync_folder(path.parent)
    kept.unlink()
    return old_status.st_size


def _is_sealed(reader: BinaryIO) -> bool:
    return os.pread(reader.fileno(), 4, 0) in _SEALED


def _whole(reader: BinaryIO) -> bytes:
    """All of an open file, from its beginning."""
    reader.seek(0)
    return reader.read()


def _opened(keyring: Keyring, text: bytes, options: OpenOptions) -> bytes:
    """The data of an old message. An editor or ``echo`` may have ended its line."""
    message = text.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return open_xor(keyring, message, options).data
    except DecryptionError:
        raise InvalidInputError(_NOT_OLD) from None


def _hold_the_same(keyring: Keyring, new: bytes, old: bytes, options: OpenOptions) -> bool:
    with suppress(DecryptionError):
        if new.startswith(_SEALED):
            data = keyring.decrypt_result(new, options).data
            return data == _opened(keyring, old, options)
    return False


def _lock(reader: BinaryIO) -> None:
    """Keep other runs from the file: each would take the other's second name for its own."""
    with suppress(OSError):  # where there are no locks
        try:
            fcntl.flock(reader.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileBusyError("another run is at work on it; let it end") from None


def _keep(path: Path, status: os.stat_result) -> Path | None:
    """Give the old file its second name; returns it, None where a run that was killed gave it."""
    kept = path.with_name(path.name + OLD_SUFFIX)
    try:
        os.link(path, kept, follow_symlinks=False)
    except FileExistsError:
        if _identity_of(kept.lstat()) == _identity_of(status):
            return None
        raise FileExistsError(
            errno.EEXIST,
            f"another old message is kept in {kept.name}: --commit or --rollback it first",
            str(path),
        ) from None
    if _identity_of(kept.lstat()) != _identity_of(status):
        kept.unlink()
        raise FileBusyError("was changed meanwhile; it was left as it is")
    return kept


def _identity_of(status: os.stat_result) -> tuple[int, int, int, int]:
    """What changes when a file is replaced or written to."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
