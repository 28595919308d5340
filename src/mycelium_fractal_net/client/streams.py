"""The crypto operations on streams: a file of any length, in constant memory."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mycelium_fractal_net.client.steps import Request
from mycelium_fractal_net.client.transfers import Transfer
from mycelium_fractal_net.client.values import StreamResult
from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader, BinaryWriter
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.sealed.layout import plaintext_bytes, sealed_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.client.replies import Reply
    from mycelium_fractal_net.client.steps import Steps
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

Source = str | os.PathLike[str] | BinaryReader
"""A path, or anything with ``read``."""

Target = str | os.PathLike[str] | BinaryWriter
"""A path, or anything with ``write``."""


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
    transfer = _transfer(source, target, force, lambda _, size: sealed_bytes(size))
    reply = yield _request("encrypt", transfer, associated_data, key_id=key_id)
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
    transfer = _transfer(source, target, force, plaintext_bytes)
    reply = yield _request(
        "decrypt",
        transfer,
        associated_data,
        key_id=key_id,
        data_key_associated_data=_base64(data_key_associated_data),
        allow_compromised="true" if allow_compromised else None,
    )
    return _result(reply, transfer.received)


def _transfer(
    source: Source, target: Target, force: bool, answer_bytes: Callable[[bytes, int], int]
) -> Transfer:
    return Transfer(
        _path(source) or cast("BinaryReader", source),
        _path(target) or cast("BinaryWriter", target),
        force,
        answer_bytes,
    )


def _path(stream: object) -> Path | None:
    return Path(stream) if isinstance(stream, str | os.PathLike) else None


def _request(
    direction: str, transfer: Transfer, associated_data: Buffer, **query: str | None
) -> Request:
    headers = [("Content-Type", "application/octet-stream")]
    if (bound := _base64(associated_data)) is not None:
        headers.append(("X-Associated-Data", bound))
    return Request(
        "POST",
        f"/crypto/{direction}/stream",
        query=tuple((name, value) for name, value in query.items() if value is not None),
        headers=tuple(headers),
        repeatable=transfer.can_restart,
        transfer=transfer,
    )


def _base64(data: Buffer) -> str | None:
    return b64encode(as_bytes(data)).decode() or None


def _result(reply: Reply, plain_bytes: int) -> StreamResult:
    return StreamResult(reply.headers.get("x-key-id", ""), plain_bytes)
