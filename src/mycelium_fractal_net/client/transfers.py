"""One stream to the service and one from it: what is sent, where the answer goes, when it counts.

A file of the answer gets its name when all has come, and all that came has the size that what
was sent asks for; whatever goes wrong before leaves nothing of it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from mycelium_fractal_net.client.replies import (
    HTTPX_ERRORS,
    AttemptResult,
    NoReply,
    no_reply_of,
    reply_of,
)
from mycelium_fractal_net.files.new_file import NewFile
from mycelium_fractal_net.files.permissions import acl_of
from mycelium_fractal_net.security.byte_io.binary_io import (
    HEAD_BYTES,
    BinaryReader,
    BinaryWriter,
    is_regular_file,
    read_fully,
    write_fully,
)
from mycelium_fractal_net.security.byte_io.durable import sync_folder
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import httpx

_BLOCK_BYTES: Final = 262_144
_PROBLEM_BYTES: Final = 65_536  # of an answer that is a problem; ours are a few hundred
_BROKE_OFF: Final = (
    "the answer broke off before its end: the message does not open to its end,"
    " or the connection failed"
)

Send: TypeAlias = (
    "Callable[[Iterator[bytes], dict[str, str]], AbstractContextManager[httpx.Response]]"
)
"""Sends a body with headers; gives the answer as it comes."""

Digest: TypeAlias = "Callable[[BinaryReader], str | None]"
"""The ``Content-Digest`` of what is to be sent, if one goes ahead of it."""


@dataclass(slots=True)
class Transfer:
    """One stream to the service and one from it."""

    source: Path | BinaryReader
    target: Path | BinaryWriter
    force: bool
    answer_bytes: Callable[[bytes, int], int]
    """The size of a whole answer to what began so and had so many bytes."""

    sent: int = 0
    received: int = 0
    beginning: bytes = b""
    _read: bool = False

    @property
    def can_restart(self) -> bool:
        """Whether the source can be read again: what was read of a pipe is gone, named or not."""
        return isinstance(self.source, Path) and self.source.is_file()

    def run(self, send: Send, digest: Digest | None = None) -> AttemptResult:
        """One attempt. What reading and writing raise passes through."""
        self.sent = self.received = 0
        self.beginning = b""
        if isinstance(self.target, Path) and not self.force and os.path.lexists(self.target):
            raise FileExistsError(errno.EEXIST, "exists already", str(self.target))
        if isinstance(self.source, Path):
            with self.source.open("rb", buffering=0) as reader:
                headers = {}
                if is_regular_file(reader):
                    headers["Content-Length"] = str(os.fstat(reader.fileno()).st_size)
                    if digest is not None and (ahead := digest(reader)) is not None:
                        headers["Content-Digest"] = ahead
                    reader.seek(0)
                return self._run(send, reader, headers, reader.fileno())
        return self._run(send, self.source, {}, None)

    def _run(
        self, send: Send, reader: BinaryReader, headers: dict[str, str], descriptor: int | None
    ) -> AttemptResult:
        length = int(headers["Content-Length"]) if headers else None
        begun = False
        try:
            with send(self._parts(reader, length), headers) as answer:
                if answer.status_code != 200:
                    return reply_of(answer, _problem(answer))
                begun = True
                return self._save(answer, descriptor)
        except HTTPX_ERRORS as error:
            failure = no_reply_of(error)
        if begun:
            return NoReply(_BROKE_OFF, arrived=True, lasting=True)
        if self._read and not self.can_restart:
            return failure._replace(arrived=True, lasting=True)
        return failure

    def _parts(self, reader: BinaryReader, length: int | None) -> Iterator[bytes]:
        self._read = True
        block = memoryview(bytearray(_BLOCK_BYTES))
        while length is None or self.sent < length:
            wanted = _BLOCK_BYTES if length is None else min(_BLOCK_BYTES, length - self.sent)
            count = read_fully(reader, block[:wanted])
            if len(self.beginning) < HEAD_BYTES:
                self.beginning += bytes(block[: min(count, HEAD_BYTES)])
            self.sent += count
            if count:
                yield bytes(block[:count])
            if count < wanted:
                if length is not None:
                    raise InvalidInputError("the source became shorter while it was read")
                return

    def _save(self, answer: httpx.Response, descriptor: int | None) -> AttemptResult:
        if not isinstance(self.target, Path):
            self._receive(answer, self.target)
            return reply_of(answer, b"")
        output = NewFile(self.target)
        try:
            self._receive(answer, output.file)
            if descriptor is not None:
                output.finish(os.fstat(descriptor), acl=acl_of(descriptor))
            output.sync()
            output.publish(force=self.force)
            sync_folder(self.target.parent)
        finally:
            output.discard()
        return reply_of(answer, b"")

    def _receive(self, answer: httpx.Response, writer: BinaryWriter) -> None:
        """Write all of the answer. Raises :class:`ServiceError` where it is not what it must be.

        The size is looked at beside the end that HTTP tells: a service in between that cut what
        it passed on, either way, and ended it well, would not be seen otherwise.
        """
        for part in answer.iter_raw():
            write_fully(writer, part)
            self.received += len(part)
        try:
            expected = self.answer_bytes(self.beginning, self.sent)
        except DecryptionError:
            expected = -1
        if self.received != expected:
            raise ServiceError("the answer of the service is not all there is")


def _problem(answer: httpx.Response) -> bytes:
    found = b""
    for part in answer.iter_raw():
        found += part
        if len(found) > _PROBLEM_BYTES:
            return b""
    return found
