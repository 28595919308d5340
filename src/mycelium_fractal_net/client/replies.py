"""How one attempt at a request ended: an answer that came whole, or why there is none."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

HTTPX_ERRORS: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)
"""All that httpx raises for a request."""

_ANSWER_BYTES: Final = 1 << 26  # of an answer to nothing, far above any list of keys;
_ANSWER_SHARE: Final = 4  # and so many times what was asked

_NEVER_ARRIVED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_SHOWN: Final = frozenset(
    {"content-type", "retry-after", "x-api-key-rotation-due", "x-key-id", "x-request-id"}
)


class Reply(NamedTuple):
    """An answer that came whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoReply(NamedTuple):
    """There is no answer, or not all of it."""

    reason: str
    """For people; nothing of the request."""

    arrived: bool
    """False where the request surely never reached the service."""

    lasting: bool = False
    """Whether trying again is of no use."""


AttemptResult: TypeAlias = Reply | NoReply


class _RejectedError(httpx.RequestError):
    """An answer that is not taken: not as it was asked for, or too much."""


class BoundedBody:
    """The body of an answer as it comes, bounded by the size of what was sent.

    Raises one of :data:`HTTPX_ERRORS` for more, and for one that is compressed.

    httpx expands what is compressed, asked for or not: a few bytes could fill the memory.
    """

    def __init__(self, answer: httpx.Response, sent: bytes | None) -> None:
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise _RejectedError("compressed")
        self._answer = answer
        self._body = bytearray()
        self._most = _ANSWER_BYTES + _ANSWER_SHARE * len(sent or b"")

    def add(self, part: bytes) -> None:
        """Take the next part."""
        self._body += part
        if len(self._body) > self._most:
            raise _RejectedError("too long")

    def reply(self) -> Reply:
        """All of it."""
        return reply_of(self._answer, bytes(self._body))


def reply_of(answer: httpx.Response, body: bytes) -> Reply:
    """An answer with what is looked at of its headers."""
    shown = {name: value for name, value in answer.headers.items() if name in _SHOWN}
    return Reply(answer.status_code, shown, body)


def no_reply_of(error: Exception) -> NoReply:
    """Why there is no answer, and whether the request can have arrived."""
    if isinstance(error, _NEVER_ARRIVED):
        if _is_tls(error):
            return NoReply(f"TLS failed: {error}", arrived=False, lasting=True)
        return NoReply(f"the service cannot be reached: {error}", arrived=False)
    if isinstance(error, httpx.TimeoutException):
        return NoReply("the service did not answer in time", arrived=True)
    if isinstance(error, httpx.LocalProtocolError):
        return NoReply("the request cannot be sent", arrived=False, lasting=True)
    if isinstance(error, httpx.TransportError):
        return NoReply("the connection ended before the answer did", arrived=True)
    if isinstance(error, _RejectedError):
        return NoReply("the answer is not as it was asked for", arrived=True, lasting=True)
    return NoReply("the service cannot be understood", arrived=True, lasting=True)


def _is_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
