"""What httpx raises, as what an operation is told: nothing of the request is in it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import httpx

from mycelium_fractal_net.client.steps import Failure, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RAISED", "failure_of", "reply_of"]

RAISED: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)
"""All that httpx raises for a request."""

_NEVER_ARRIVED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_SHOWN: Final = (
    "content-type",
    "retry-after",
    "x-api-key-rotation-due",
    "x-key-id",
    "x-request-id",
)


def failure_of(error: Exception) -> Failure:
    """Why there is no answer, and whether the request can have arrived."""
    if isinstance(error, _NEVER_ARRIVED):
        if _is_tls(error):
            return Failure(f"TLS failed: {error}", arrived=False, lasting=True)
        return Failure(f"the service cannot be reached: {error}", arrived=False)
    if isinstance(error, httpx.TimeoutException):
        return Failure("the service did not answer in time", arrived=True)
    if isinstance(error, httpx.TransportError):
        return Failure("the connection ended before the answer did", arrived=True)
    return Failure("the service cannot be understood", arrived=True, lasting=True)


def _is_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def reply_of(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """An answer with what is looked at of its headers."""
    return Reply(status, {name: headers[name] for name in _SHOWN if name in headers}, body)
