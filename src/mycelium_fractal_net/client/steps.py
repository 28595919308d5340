"""What an operation is made of, before anything is sent: one text for both clients.

An operation is a generator. It yields a :class:`Request`, gets the :class:`Reply`, and returns
its result; a refusal is raised into it. What is retried, who waits, and how bytes travel is
decided around it, so that the client that blocks and the one that does not run the same code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from mycelium_fractal_net.client.replies import AttemptResult, Reply
from mycelium_fractal_net.security.errors import ServiceError

if TYPE_CHECKING:
    from mycelium_fractal_net.client.transfers import Transfer

T = TypeVar("T")

UNREADABLE: Final = "the answer of the service cannot be read"

JSON: Final = (("Content-Type", "application/json"),)
"""The headers of a request whose body is JSON."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of an operation."""

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    repeatable: bool = True
    """Whether sending it twice does no harm. Else it is repeated only if it never arrived."""

    also: frozenset[int] = frozenset()
    """Statuses that are an answer to this request, though they are problems to others."""

    transfer: Transfer | None = field(default=None, repr=False)
    """Where the body comes from and the answer goes, if they are streams."""


class Pause(NamedTuple):
    """Wait that long."""

    seconds: float


class Callback(NamedTuple):
    """Call a function of the user's, which may block; answered with what it raised, or None."""

    function: Callable[[], None]


class Acquire(NamedTuple):
    """Wait for a lock: ``acquire`` is that of a lock which the driver made."""

    acquire: Callable[[], Any]


Steps: TypeAlias = Generator[Request, Reply, T]
"""An operation with a result of that type."""

Effect: TypeAlias = Request | Pause | Callback | Acquire
Effects: TypeAlias = Generator[Effect, AttemptResult | Exception | None, T]
"""An operation with all that happens around it; what runs it has only to do as it says."""


class PerProcess(Generic[T]):
    """One thing for each process, such as a lock: a child would wait for ever for one that a
    thread of its parent held when it was forked. Threads may ask at once.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def __call__(self) -> T:
        """That of this process."""
        process = os.getpid()
        if process not in self._made:
            self._made.setdefault(process, self._make())
        return self._made[process]


# Subclasses of bytes are known to msgspec as buffers alone.
_encode: Final = msgspec.json.Encoder(enc_hook=memoryview).encode


def given(**members: Any) -> dict[str, Any]:
    """The members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def json_of(body: dict[str, Any]) -> bytes:
    """An object as JSON; members that are None are left out, bytes are base64."""
    return _encode({name: value for name, value in body.items() if value is not None})


def json_request(method: str, path: str, body: dict[str, Any] | None, **more: Any) -> Request:
    """A request whose body is that object, if there is one; see :func:`json_of`."""
    if body is None:
        return Request(method, path, **more)
    return Request(method, path, json_of(body), headers=JSON, **more)


def decoded(reply: Reply, kind: type[T]) -> T:
    """The body of an answer as a record of that type. Raises :class:`ServiceError`."""
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    raise ServiceError(UNREADABLE)
