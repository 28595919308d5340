"""Streams from and to files: what is sent, where the answer goes, and when it counts.

A file of the answer gets its name when all has come, and all that came has the size that what
was sent asks for; whatever goes wrong before leaves nothing of it.
"""

from __future__ import annotations

import errno
import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from mycelium_fractal_net.client.failures import RAISED, failure_of, reply_of
from mycelium_fractal_net.client.steps import Failure, Outcome, Reply, Request
from mycelium_fractal_net.client.versioned import StreamResult
from mycelium_fractal_net.files.new_file import NewFile, sync_folder
from mycelium_fractal_net.files.permissions import acl_of
from mycelium_fractal_net.security.byte_io.binary_io import (
    BinaryReader,
    BinaryWriter,
    is_regular_file,
    read_fully,
    write_fully,
)
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError, ServiceError
from mycelium_fractal_net.security.sealed.format import plaintext_bytes, sealed_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import httpx
    from cryptography.utils import Buffer

    from mycelium_fractal_net.client.steps import Steps

__all__ = ["Source", "Target", "Transfer", "decrypt_stream", "encrypt_stream"]

Source = str | os.PathLike[str] | BinaryReader
"""A path, or anything with ``read``."""

Target = str | os.PathLike[str] | BinaryWriter
"""A path, or anything with ``write``."""

_BLOCK_BYTES: Final = 262_144
_HEADER_BYTES: Final = 116  # docs/format.md: of a message of the second form, the longer one
_PROBLEM_BYTES: Final = 65_536  # of an answer that is a problem; ours are a few hundred
_OCTETS: Final = "application/octet-stream"
_BROKE_OFF: Final = (
    "the answer broke off before its end: the message does not open to its end,"
    " or the connection failed"
)


Digest = Callable[[BinaryReader], str | None]


class Send(Protocol):
    """Sends the request of a transfer; gives the answer as it comes."""

    def __call__(
        self, content: Iterator[bytes], headers: dict[str, str]
    ) -> AbstractContextManager[httpx.Response]: ...


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
    def starts_anew(self) -> bool:
        """Whether the source can be read again: what was read of a pipe is gone, named or not."""
        return isinstance(self.source, Path) and self.source.is_file()

    def run(self, send: Send, digest: Digest | None = None) -> Outcome:
        """One attempt. What reading and writing raise passes through.

        ``digest`` gives the ``Content-Digest`` of what is to be sent, if one goes ahead of it.
        """
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
    ) -> Outcome:
        length = int(headers["Content-Length"]) if headers else None
        begun = False
        try:
            with send(self._parts(reader, length), headers) as answer:
                if answer.status_code != 200:
                    return reply_of(answer.status_code, answer.headers, _problem(answer))
                begun = True
                return self._keep(answer, descriptor)
        except RAISED as error:
            failure = failure_of(error)
        if begun:
            return Failure(_BROKE_OFF, arrived=True, lasting=True)
        if self._read and not self.starts_anew:
            return failure._replace(arrived=True, lasting=True)
        return failure

    def _parts(self, reader: BinaryReader, length: int | None) -> Iterator[bytes]:
        self._read = True
        block = memoryview(bytearray(_BLOCK_BYTES))
        while length is None or self.sent < length:
            wanted = _BLOCK_BYTES if length is None else min(_BLOCK_BYTES, length - self.sent)
            count = read_fully(reader, block[:wanted])
            if len(self.beginning) < _HEADER_BYTES:
                self.beginning += bytes(block[: min(count, _HEADER_BYTES)])
            self.sent += count
            if count:
                yield bytes(block[:count])
            if count < wanted:
                if length is not None:
                    raise InvalidInputError("the source became shorter while it was read")
                return

    def _keep(self, answer: httpx.Response, descriptor: int | None) -> Outcome:
        if not isinstance(self.target, Path):
            self._receive(answer, self.target)
            return reply_of(answer.status_code, answer.headers, b"")
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
        return reply_of(answer.status_code, answer.headers, b"")

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


# The operations ---------------------------------------------------------------------------------


def _request(
    direction: str,
    query: dict[str, str | None],
    associated_data: Buffer,
    transfer: Transfer,
) -> Request:
    bound = as_bytes(associated_data)
    headers = [("Content-Type", _OCTETS)]
    if bound:
        headers.append(("X-Associated-Data", b64encode(bound).decode()))
    return Request(
        "POST",
        f"/crypto/{direction}/stream",
        query=tuple((name, value) for name, value in query.items() if value is not None),
        headers=tuple(headers),
        repeatable=transfer.starts_anew,
        transfer=transfer,
    )


def _result(reply: Reply, plain_bytes: int) -> StreamResult:
    return StreamResult(reply.headers.get("x-key-id", ""), plain_bytes)


def _place(stream: object) -> Path | None:
    return Path(stream) if isinstance(stream, str | os.PathLike) else None


def encrypt_stream(
    source: Source,
    target: Target,
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    force: bool = False,
) -> Steps[StreamResult]:
    """Seal all of ``source``, of any length and in constant memory. Scope: ``encrypt:KEY``.

    Each is a path or a stream. A target that is a path gets its name when the message is whole
    and on the disk, with the permissions of a source that is a path too; one that exists is
    replaced only with ``force`` (:class:`FileExistsError`). What is written to a stream is a
    part until this returns. Nothing is tried again once the answer has begun, or, of a source
    that is a stream, once the service was reached.
    """
    transfer = Transfer(
        _place(source) or cast("BinaryReader", source),
        _place(target) or cast("BinaryWriter", target),
        force,
        lambda _, size: sealed_bytes(size),
    )
    reply = yield _request("encrypt", {"key_id": key_id}, associated_data, transfer)
    return _result(reply, transfer.sent)


def decrypt_stream(
    source: Source,
    target: Target,
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    data_key_associated_data: Buffer = b"",
    allow_compromised: bool = False,
    force: bool = False,
) -> Steps[StreamResult]:
    """Open all of ``source``, as :meth:`encrypt_stream` seals it. Scope: ``decrypt:KEY``.

    A target that is a path never holds a part of the plaintext. Raises :class:`DecryptionError`
    for a message that is wrong at its beginning; one that turns out wrong later ends the
    connection, which nobody can tell from a failure of the network, and is a
    :class:`ServiceUnavailableError`.
    """
    transfer = Transfer(
        _place(source) or cast("BinaryReader", source),
        _place(target) or cast("BinaryWriter", target),
        force,
        plaintext_bytes,
    )
    of_data_key = as_bytes(data_key_associated_data)
    query = {
        "key_id": key_id,
        "data_key_associated_data": b64encode(of_data_key).decode() if of_data_key else None,
        "allow_compromised": "true" if allow_compromised else None,
    }
    reply = yield _request("decrypt", query, associated_data, transfer)
    return _result(reply, transfer.received)
