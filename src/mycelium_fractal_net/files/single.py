"""One file sealed, opened or rewrapped: whole under its name, or not there at all."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from mycelium_fractal_net.files.naming import file_name, named_options
from mycelium_fractal_net.files.new_file import (
    NewFile,
    discarded_on_error,
    new_file,
    remove_leftovers,
)
from mycelium_fractal_net.files.permissions import acl_of, umask
from mycelium_fractal_net.files.replacing import GRACE_SECONDS, Replaced, settled_status
from mycelium_fractal_net.security.byte_io.binary_io import HEAD_BYTES
from mycelium_fractal_net.security.byte_io.durable import sync_folder
from mycelium_fractal_net.security.errors import FileBusyError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions
from mycelium_fractal_net.security.sealed.addressed_layout import is_addressed

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

Work = Callable[[BinaryIO, BinaryIO], int]
"""From a reader into a writer; returns the plaintext's bytes."""


@contextmanager
def open_source(
    path: Path, *, follow: bool = True
) -> Iterator[tuple[BinaryIO, os.stat_result, bytes | None]]:
    """A file to read, unbuffered, with its status and access control list. Raises :class:`OSError`.

    Without ``follow`` it must be a regular file itself: what a walk saw as one may have become
    a link to what should not be read, or a pipe that nobody writes to.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC
    if not follow:
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise OSError(errno.ELOOP, "is a link by now; it was not followed", str(path)) from None
        raise
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not follow and not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        yield cast("BinaryIO", file), status, acl_of(descriptor)


@contextmanager
def unchanging(
    reader: BinaryIO, path: Path, *, allow_changing: bool = False
) -> Iterator[os.stat_result]:
    """The status of the open file ``path``, which must be the same when the block has ended.

    Raises :class:`FileBusyError` where it was written to meanwhile, or is another file by then:
    what was read of it never was there as a whole. What is no regular file has no such state.
    """
    before = os.fstat(reader.fileno())
    if allow_changing or not stat.S_ISREG(before.st_mode):
        yield before
        return
    before = settled_status(reader.fileno())
    yield before
    try:
        there = path.stat()
    except OSError:
        there = None
    now = os.fstat(reader.fileno())
    if _version(now) != _version(before) or there is None or _version(there) != _version(before):
        raise FileBusyError(
            "was changed while it was read, and nothing was kept; try again, or let it change"
            " (--allow-changing)"
        )


def _version(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def seal_file(
    keyring: Keyring,
    source: Path,
    target: Path,
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    bind_name: bool = False,
    force: bool = False,
    allow_changing: bool = False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Seal ``source`` into ``target``, with its permission bits; returns the plaintext's bytes.

    An output that exists is kept unless ``force`` (:class:`FileExistsError`). A source that is
    written to meanwhile is an error (:class:`FileBusyError`) unless ``allow_changing``. Whatever
    fails leaves both files as they were. ``progress`` gets the bytes read since its last call.
    With ``bind_name`` the message opens only under the name that ``target`` has.
    """
    name = file_name(target) if bind_name else None

    def seal(reader: BinaryIO, writer: BinaryIO) -> int:
        return keyring.encrypt_stream(
            reader,
            writer,
            key_id=key_id,
            associated_data=associated_data,
            name=name,
            progress=progress,
        )

    return sealed_into(source, target, seal, force=force, allow_changing=allow_changing)


def open_file(
    keyring: Keyring,
    source: Path,
    target: Path,
    options: OpenOptions = PLAIN,
    *,
    bind_name: bool = False,
    force: bool = False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Open the sealed ``source`` into ``target``; returns the plaintext's bytes.

    ``target`` gets its name when the end was verified and not before. Otherwise as
    :func:`seal_file`, except that the umask is honoured. A name that is bound must be that of
    ``source``, or what ``options`` have; with ``bind_name`` one must be bound. Raises
    :class:`DecryptionError`, for a name :class:`BoundNameError`.
    """
    named = named_options(options, source, required=bind_name)

    def unseal(reader: BinaryIO, writer: BinaryIO) -> int:
        return keyring.decrypt_stream(reader, writer, named, progress=progress)

    return opened_into(source, target, unseal, force=force)


def sealed_into(
    source: Path, target: Path, seal: Work, *, force: bool, allow_changing: bool
) -> int:
    """What :func:`seal_file` does, by whatever seals from a reader into a writer."""
    with open_source(source) as (reader, status, acl):
        _refuse_same(status, target)
        with (
            new_file(target, status, acl=acl, force=force) as writer,
            unchanging(reader, source, allow_changing=allow_changing),
        ):
            return seal(reader, writer)


def opened_into(source: Path, target: Path, unseal: Work, *, force: bool) -> int:
    """What :func:`open_file` does, by whatever opens from a reader into a writer."""
    with open_source(source) as (reader, status, acl):
        _refuse_same(status, target)
        with new_file(target, status, acl=acl, without=umask(), force=force) as writer:
            return unseal(reader, writer)


def rewrap_file(
    keyring: Keyring,
    path: Path,
    options: OpenOptions = PLAIN,
    *,
    progress: Callable[[int], None] | None = None,
) -> bool:
    """Move a sealed file to its key's newest version, in place; False where it is there already.

    The plaintext never reaches the disk. Mode, owner and times stay; of a link the file that it
    leads to is moved. Raises
    :class:`FileBusyError`, and changes nothing, where somebody changed the file meanwhile or
    has it open for writing.
    """
    real = path.resolve()
    remove_leftovers(real.parent)
    output = rewrap_to(keyring, real, options, progress=progress)
    if output is None:
        return False
    try:
        output.sync()
        output.publish(force=True)
        time.sleep(GRACE_SECONDS)
        output.settle()
        sync_folder(output.target.parent)
    except FileBusyError as error:
        raise FileBusyError(f"{path} {error}") from None
    finally:
        output.discard()
    return True


def rewrap_to(
    keyring: Keyring,
    path: Path,
    options: OpenOptions = PLAIN,
    *,
    progress: Callable[[int], None] | None = None,
) -> NewFile | None:
    """The rewrapped form of ``path``, finished and not yet published; None where it is newest.

    Nor has what is for recipients one: no key of the store has a part in it.
    """
    with open_source(path, follow=False) as (reader, _, _):
        head = os.pread(reader.fileno(), HEAD_BYTES, 0)
        if is_addressed(head) or keyring.describe(head).newest:
            return None
        status = settled_status(reader.fileno())
        acl = acl_of(reader.fileno())
        output = NewFile(path, place=Replaced(reader.fileno(), status))
        with discarded_on_error(output):
            keyring.rewrap_stream(reader, output.file, options, progress=progress)
            output.finish(status, acl=acl, times=True, owner=True)
        return output


def _refuse_same(source: os.stat_result, target: Path) -> None:
    try:
        there = target.stat()
    except OSError:
        return
    if (there.st_dev, there.st_ino) == (source.st_dev, source.st_ino):
        raise FileExistsError(errno.EEXIST, "is the input itself", str(target))
