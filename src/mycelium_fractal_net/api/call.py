"""One request at work: who calls, what is recorded of it, and how its answer is sent."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from fastapi import Security
from fastapi.security import APIKeyHeader

from mycelium_fractal_net.api.problems import RequestError
from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.blocking import WouldBlockError
from mycelium_fractal_net.security.errors import KeyNotFoundError, MfnError, NotPermittedError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

    from mycelium_fractal_net.api.protocol import Exchange
    from mycelium_fractal_net.api.service import Service
    from mycelium_fractal_net.security.directories.credentials import Caller
    from mycelium_fractal_net.security.keyring.keyring import Keyring

__all__ = [
    "API_KEY",
    "Authenticated",
    "Call",
    "Headers",
    "Public",
    "new_request_id",
    "read_body",
    "read_headers",
]

API_KEY: Final = APIKeyHeader(
    name="X-API-Key", scheme_name="ApiKey", description="`mfn_<id>_<secret>`", auto_error=False
)

_process = ""
_numbers: Final = itertools.count(int.from_bytes(os.urandom(3), "big"))


def _name_process() -> None:
    """Begin the ids of this process's requests as those of no other begin."""
    global _process  # noqa: PLW0603
    _process = os.urandom(4).hex()


_name_process()
os.register_at_fork(after_in_child=_name_process)  # workers are forked from one that loaded this


class Headers(NamedTuple):
    """What is looked at of a request's headers."""

    api_key: bytes
    content_type: bytes
    content_length: int | None
    associated_data: bytes


def read_headers(scope: Scope) -> Headers:
    """The headers that matter, each at most once. Raises :class:`RequestError`."""
    api_key = content_type = associated_data = b""
    length: int | None = None
    keys = 0
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            api_key = value
            keys += 1
        elif name == b"content-type":
            if content_type:
                raise RequestError("bad-request", "there is more than one Content-Type")
            content_type = value
        elif name == b"content-length":
            length = int(value) if value.isdigit() else None
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise RequestError("unsupported-media-type", "the body must not be compressed")
        elif name == b"x-associated-data":
            if associated_data:
                raise RequestError("bad-request", "there is more than one X-Associated-Data")
            associated_data = value
    if keys > 1:
        raise RequestError("bad-request", "there is more than one X-API-Key")
    return Headers(api_key, content_type, length, associated_data)


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


def new_request_id() -> str:
    """16 hexadecimal digits that no other request of this machine has soon."""
    return f"{_process}{next(_numbers) & 0xFFFFFFFF:08x}"


class Call:
    """One request. What a handler learns of it is kept here for the audit record."""

    __slots__ = ("address", "are_items_counted", "caller_or_none", "event", "exchange", "headers",
                 "items", "key", "reference", "request_id", "service", "signer", "status",
                 "subject")  # fmt: skip

    def __init__(self, service: Service, event: str, exchange: Exchange | None) -> None:
        self.service = service
        self.event = event
        self.exchange = exchange
        self.request_id = new_request_id()
        self.status: int | None = None  # where it is not that of the route
        self.headers: Headers | None = None
        self.caller_or_none: Caller | None = None
        self.key: str | None = None
        self.subject: str | None = None
        self.signer: str | None = None
        self.address = ""  # of the client, where rates are counted
        self.are_items_counted = False
        self.reference: str | None = None
        self.items: dict[str, dict[str, int]] | None = None

    @property
    def keyring(self) -> Keyring:
        """The keyring. Raises :class:`RequestError` where cryptography is switched off."""
        return self.service.keyring

    @property
    def caller(self) -> Caller:
        """Who calls; of a public route nobody does, and no handler asks."""
        caller = self.caller_or_none
        if caller is None:
            raise RequestError("bad-request", "this route knows no caller")
        return caller

    def permit(self, operation: str, key_name: str) -> None:
        """Raise :class:`KeyNotFoundError` unless the caller may do that with that key."""
        if not self.caller.may(operation, key_name):
            raise KeyNotFoundError("no such key, or this credential may not use it")

    def require(self, scope: str) -> None:
        """Raise :class:`NotPermittedError` unless the caller has that scope."""
        if not self.caller.has(scope):
            raise NotPermittedError(f"this needs a credential with the scope {scope}")

    def is_allowed(self, scope: str) -> bool:
        """On a public route: whether an accepted API key with that scope came along."""
        if self.headers is None or not self.headers.api_key:
            return False
        try:
            caller = self.service.directory.authenticate(self.headers.api_key)
            # No signature is asked for here, and this credential might work only with one.
            return caller.has(scope) and not self.service.signers.is_bound(caller.credential_id)
        except (MfnError, RequestError, WouldBlockError):
            return False

    def outcome(self, outcome: str, size: int | None = None) -> Event:
        """The audit record of the request: how it ended, or that it ``begun``."""
        caller = self.caller_or_none
        return Event(
            self.event,
            outcome,
            key=self.key,
            actor="anonymous" if caller is None else caller.credential_id,
            request=self.request_id,
            reference=self.reference,
            items=self.items,
            bytes=size,
            subject=self.subject,
            signer=self.signer,
        )


Authenticated = Annotated[Call, Security(API_KEY)]
"""The first parameter of a handler that needs a credential; the document says so."""


def _nobody() -> None: ...


Public = Annotated[Call, Security(_nobody)]
"""The first parameter of a handler that anybody may call."""
