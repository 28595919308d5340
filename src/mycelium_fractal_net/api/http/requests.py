"""What is read of a request: the headers that matter, each at most once, and the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.api.http.problems import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Receive, Scope

_BLANKS: Final = b" \t"  # around a value, RFC 9110 section 5.5; our own server took them off


class Headers(NamedTuple):
    """What is looked at of a request's headers."""

    api_key: bytes
    content_type: bytes
    content_length: int | None
    associated_data: bytes
    is_chunked: bool = False

    @property
    def announces_body(self) -> bool:
        """Whether a body comes, if only an empty one in chunks."""
        return bool(self.content_length) or self.is_chunked


def read_headers(scope: Scope) -> Headers:
    """The headers that matter, each at most once. Raises :class:`RequestError`."""
    api_key = content_type = associated_data = b""
    length: int | None = None
    is_chunked = False
    keys = 0
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            api_key = value.strip(_BLANKS)
            keys += 1
        elif name == b"content-type":
            if content_type:
                raise RequestError("bad-request", "there is more than one Content-Type")
            content_type = value.strip(_BLANKS)
        elif name == b"content-length":
            length = int(value) if value.isdigit() else None
        elif name == b"transfer-encoding":
            is_chunked = True
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise RequestError("unsupported-media-type", "the body must not be compressed")
        elif name == b"x-associated-data":
            if associated_data:
                raise RequestError("bad-request", "there is more than one X-Associated-Data")
            associated_data = value.strip(_BLANKS)
    if keys > 1:
        raise RequestError("bad-request", "there is more than one X-API-Key")
    return Headers(api_key, content_type, length, associated_data, is_chunked)


def with_bearer_as_api_key(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers, and the token of an ``Authorization: Bearer`` as the ``X-API-Key`` that it is.

    Both are two API keys, and refused. It stands there before anything is decided, so that it binds
    its caller as the other does; where a request is signed it is not, and refused too.
    """
    found = list(headers)
    for name, value in headers:
        scheme, _, token = value.strip(_BLANKS).partition(b" ")
        if name == b"authorization" and scheme.lower() == b"bearer":
            found.append((b"x-api-key", token.strip(_BLANKS)))
    return found


async def read_body(receive: Receive, declared: int | None, most: int) -> bytes | None:
    """The whole body, None where the client went away.

    Raises :class:`RequestError` as soon as it is longer than ``most`` bytes.
    """
    if declared is not None and declared > most:
        raise _too_large(most)
    message = await receive()
    if message["type"] != "http.request":
        return None
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > most:
            raise _too_large(most)
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False):
        if size > most:
            raise _too_large(most)
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
    if size > most:
        raise _too_large(most)
    return b"".join(parts)


def _too_large(most: int) -> RequestError:
    return RequestError("too-large", f"a body has at most {most} bytes")
