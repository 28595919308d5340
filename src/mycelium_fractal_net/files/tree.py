"""Folders of files, in parallel: sealed and opened; gone on with after a kill.

An output has the modification time of its source, and the size of a sealed message follows
from that of its plaintext. So a run that was cut off is simply run again: a sealed file that has
its name, the right size, the right time and the right key is done, since names are given only to
files that are on the disk (:mod:`.groups`). Of what is opened none of that proves anything, so its
content is compared too. Anything else under the name is kept and reported.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Unpack

from mycelium_fractal_net.files.file_run import FileOptions, FileRun, Outcome
from mycelium_fractal_net.files.naming import file_name, named_options
from mycelium_fractal_net.files.new_file import NewFile, discarded_on_error
from mycelium_fractal_net.files.permissions import umask
from mycelium_fractal_net.files.single import open_source, unchanging
from mycelium_fractal_net.files.walk import SEALED_SUFFIX, FileReport, Job, is_there
from mycelium_fractal_net.security.byte_io.binary_io import HEAD_BYTES, BinaryReader, read_fully
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions
from mycelium_fractal_net.security.sealed.layout import plaintext_bytes, sealed_bytes

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer


def seal_tree(
    keyring: Keyring,
    source: Path,
    target: Path,
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    bind_name: bool = False,
    allow_changing: bool = False,
    **how: Unpack[FileOptions],
) -> FileReport:
    """Seal every file below ``source`` into the same place below ``target``, with ``.mfn``.

    ``how`` is a :class:`.FileOptions`; with ``force`` what is there is sealed again. One file
    that fails does not stop the others, nor does one that is written to meanwhile, unless
    ``allow_changing``. Raises :class:`InvalidInputError` where one
    folder lies in the other, and :class:`FileBusyError` while another run fills ``target``. With
    ``bind_name`` each message opens only under the path that it has below ``target``.
    """
    sealed_by = keyring.protecting_key(key_id)
    options = OpenOptions(associated_data)
    run = FileRun(**how)

    def opens_as_ours(path: Path) -> bool:
        """Whether the key and the associated data are those of this run."""
        with path.open("rb", buffering=0) as file:
            if keyring.describe(os.pread(file.fileno(), HEAD_BYTES, 0)).key_id != sealed_by:
                return False
            with suppress(DecryptionError):
                named = named_options(options, path, target, required=bind_name)
                keyring.open_reader(file, named).close()
                return True
            return False

    def seal(job: Job) -> Outcome:
        with open_source(job.source, follow=False) as (reader, status, acl):
            size = sealed_bytes(status.st_size, named=bind_name)
            if not run.force and is_there(job.target, status, size, opens_as_ours):
                return None
            output = NewFile(job.target)
            with discarded_on_error(output):
                with unchanging(reader, job.source, allow_changing=allow_changing) as stable:
                    size = keyring.encrypt_stream(
                        reader,
                        output.file,
                        key_id=key_id,
                        associated_data=associated_data,
                        name=file_name(job.target, target) if bind_name else None,
                        progress=run.watch,
                    )
                output.finish(stable, acl=acl, times=True)
            return output, size

    def named(path: Path) -> Path | None:
        return path.with_name(path.name + SEALED_SUFFIX)

    return run.fill(source, target, named, seal)


def open_tree(
    keyring: Keyring,
    source: Path,
    target: Path,
    options: OpenOptions = PLAIN,
    *,
    bind_name: bool = False,
    **how: Unpack[FileOptions],
) -> FileReport:
    """Open every ``.mfn`` file below ``source`` into the same place below ``target``.

    Files without that ending are passed over. An output that is there counts as done if it holds
    what is in the message, which is compared. The umask is honoured. A name that is bound must
    be the path below ``source``; with ``bind_name`` one must be bound. Otherwise as
    :func:`seal_tree`.
    """
    run = FileRun(**how)
    without = umask()

    def holds(named: OpenOptions, reader: BinaryIO, path: Path) -> bool:
        """Whether ``path`` has what is in the message: size and time anybody can give a file."""
        with path.open("rb", buffering=0) as there, suppress(_DifferentError):
            keyring.decrypt_stream(reader, _Comparison(there), named, progress=run.watch)
            return True
        return False

    def unseal(job: Job) -> Outcome:
        with open_source(job.source, follow=False) as (reader, status, acl):
            size = plaintext_bytes(os.pread(reader.fileno(), HEAD_BYTES, 0), status.st_size)
            named = named_options(options, job.source, source, required=bind_name)
            holding = partial(holds, named, reader)
            if not run.force and is_there(job.target, status, size, holding):
                return None
            output = NewFile(job.target)
            with discarded_on_error(output):
                size = keyring.decrypt_stream(reader, output.file, named, progress=run.watch)
                output.finish(status, acl=acl, times=True, without=without)
            return output, size

    def opened(path: Path) -> Path | None:
        return path.with_suffix("") if path.suffix == SEALED_SUFFIX else None

    return run.fill(source, target, opened, unseal, without)


class _DifferentError(Exception):
    """What is there is something else."""


class _Comparison:
    """Takes what is written for a file, and compares it with what the file has."""

    def __init__(self, file: BinaryReader) -> None:
        self._file = file

    def write(self, data: memoryview, /) -> int:
        found = bytearray(len(data))
        if read_fully(self._file, memoryview(found)) < len(data) or found != data:
            raise _DifferentError
        return len(data)
