"""Batches of any length, in requests that the service takes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from mycelium_fractal_net.client import operations
from mycelium_fractal_net.client.problems import Problem, error_of_problem, error_of_reply
from mycelium_fractal_net.client.steps import Request, decoded, json_of
from mycelium_fractal_net.client.versioned import Versioned
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    InvalidSignatureError,
    MfnError,
    ServiceError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cryptography.utils import Buffer

    from mycelium_fractal_net.client.operations import Format
    from mycelium_fractal_net.client.steps import Reply, Steps

__all__ = [
    "BatchLimits",
    "DecryptItem",
    "EncryptItem",
    "SignItem",
    "VerifyItem",
    "decrypt_batch",
    "encrypt_batch",
    "rewrap_batch",
    "sign_batch",
    "verify_batch",
]

T = TypeVar("T")

MOST_ITEMS: Final = 1000  # no service takes more at once
_BEFORE: Final = b'{"items":['
_AFTER: Final = b"]}"
_MOST_OLD: Final = 10  # messages of the XOR cipher, which no service opens more of at once
_TOO_LARGE: Final = frozenset({413})


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much one request of a batch has at most: as many items, and bytes of body.

    They are the service's own by default, ``server.max_batch_items`` and
    ``server.max_body_bytes``. Where its are smaller, a request that it refuses for its size is
    split further.
    """

    items: int = MOST_ITEMS
    body_bytes: int = 8_388_608

    def __post_init__(self) -> None:
        if not 1 <= self.items <= MOST_ITEMS:
            raise InvalidInputError(f"a batch has 1 to {MOST_ITEMS} items")


@dataclass(frozen=True, slots=True)
class EncryptItem:
    """One thing to encrypt that differs from the others of its batch."""

    data: Buffer = field(repr=False)
    key_id: str | None = None
    associated_data: Buffer = field(default=b"", repr=False)
    format: Format = "sealed"
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class DecryptItem:
    """One message to open, or to rewrap, that differs from the others of its batch."""

    message: Buffer = field(repr=False)
    key_id: str | None = None
    associated_data: Buffer = field(default=b"", repr=False)
    data_key_associated_data: Buffer = field(default=b"", repr=False)
    format: Format = "sealed"
    allow_compromised: bool = False
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class SignItem:
    """One thing to sign that differs from the others of its batch."""

    data: Buffer = field(repr=False)
    key_id: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class VerifyItem:
    """One signature to verify."""

    data: Buffer = field(repr=False)
    signature: Buffer = field(repr=False)
    key_id: str | None = None
    reference: str | None = None


# The operations ---------------------------------------------------------------------------------


def encrypt_batch(
    limits: BatchLimits,
    items: Iterable[Buffer | EncryptItem],
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    format: Format = "sealed",
) -> Steps[list[Versioned | MfnError]]:
    """:meth:`encrypt` for each. What is no :class:`EncryptItem` is data, and as the keywords say.

    The results stand in the order of the items; one that failed is the error that it failed with,
    and fails no other. What fails as a whole is raised, such as an API key that is not accepted.
    """
    bodies = (
        operations.encryption(item.data, item.key_id, item.associated_data, item.format,
                              item.reference)
        if isinstance(item, EncryptItem)
        else operations.encryption(item, key_id, associated_data, format, None)
        for item in items
    )  # fmt: skip
    return (yield from _batched(limits, "/crypto/encrypt/batch", bodies, _message))


def decrypt_batch(
    limits: BatchLimits,
    items: Iterable[Buffer | DecryptItem],
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    data_key_associated_data: Buffer = b"",
    format: Format = "sealed",
) -> Steps[list[Versioned | MfnError]]:
    """:meth:`decrypt` for each; what is no :class:`DecryptItem` is a message. As encrypt_batch."""
    bodies = _openings(items, key_id, associated_data, data_key_associated_data, format)
    return (yield from _batched(limits, "/crypto/decrypt/batch", bodies, _plaintext))


def rewrap_batch(
    limits: BatchLimits,
    items: Iterable[Buffer | DecryptItem],
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    data_key_associated_data: Buffer = b"",
    format: Format = "sealed",
) -> Steps[list[Versioned | MfnError]]:
    """:meth:`rewrap` for each; what is no :class:`DecryptItem` is a message. As encrypt_batch."""
    bodies = _openings(items, key_id, associated_data, data_key_associated_data, format)
    return (yield from _batched(limits, "/crypto/rewrap/batch", bodies, _message))


def sign_batch(
    limits: BatchLimits,
    items: Iterable[Buffer | SignItem],
    *,
    key_id: str | None = None,
) -> Steps[list[Versioned | MfnError]]:
    """:meth:`sign` for each; what is no :class:`SignItem` is data. Otherwise as encrypt_batch."""
    each = (item if isinstance(item, SignItem) else SignItem(item, key_id) for item in items)
    bodies = (
        {"data": as_bytes(item.data), "key_id": item.key_id, "reference": item.reference}
        for item in each
    )
    return (yield from _batched(limits, "/crypto/sign/batch", bodies, _signature))


def verify_batch(limits: BatchLimits, items: Iterable[VerifyItem]) -> Steps[list[MfnError | None]]:
    """:meth:`verify` for each: None where it is valid, else the error. As encrypt_batch."""
    bodies = (
        {
            "data": as_bytes(item.data),
            "signature": as_bytes(item.signature),
            "key_id": item.key_id,
            "reference": item.reference,
        }
        for item in items
    )
    return (yield from _batched(limits, "/crypto/verify/batch", bodies, _validity))


def _openings(
    items: Iterable[Buffer | DecryptItem],
    key_id: str | None,
    associated_data: Buffer,
    data_key_associated_data: Buffer,
    format: Format,
) -> Iterator[dict[str, Any]]:
    for item in items:
        one = (
            item
            if isinstance(item, DecryptItem)
            else DecryptItem(item, key_id, associated_data, data_key_associated_data, format)
        )
        yield operations.opening(
            one.message,
            one.key_id,
            one.associated_data,
            one.data_key_associated_data,
            one.format,
            one.allow_compromised,
            one.reference,
        )


# Splitting -------------------------------------------------------------------------------------


class _Refusal(Problem, frozen=True):
    status: int = 0


class _Item(msgspec.Struct, frozen=True):
    """What any kind of item has: one of the first four, or the last."""

    ciphertext: bytes | None = None
    data: bytes | None = None
    signature: bytes | None = None
    valid: bool | None = None
    key_id: str = ""
    legacy: bool = False
    error: _Refusal | None = None


class _Answer(msgspec.Struct, frozen=True):
    items: list[_Item]


def _versioned(data: bytes | None, item: _Item) -> Versioned:
    if data is None:
        raise ServiceError("the answer of the service cannot be read")
    return Versioned.of(data, item.key_id, legacy=item.legacy)


def _message(item: _Item) -> Versioned:
    return _versioned(item.ciphertext, item)


def _plaintext(item: _Item) -> Versioned:
    return _versioned(item.data, item)


def _signature(item: _Item) -> Versioned:
    return _versioned(item.signature, item)


def _validity(item: _Item) -> MfnError | None:
    return None if item.valid is True else InvalidSignatureError()


def _batched(
    limits: BatchLimits,
    path: str,
    bodies: Iterable[dict[str, Any]],
    result: Callable[[_Item], T],
) -> Steps[list[T | MfnError]]:
    results: list[T | MfnError] = []
    waiting: deque[list[bytes]] = deque()
    for group in _groups(limits, bodies):
        waiting.append(group)
        while waiting:
            items = waiting.popleft()
            body = b"%b%b%b" % (_BEFORE, b",".join(items), _AFTER)
            reply = yield Request("POST", path, body, also=_TOO_LARGE)
            if reply.status < 300:
                results += _results(reply, len(items), result)
            elif len(items) == 1:
                results.append(error_of_reply(reply))
            else:
                half = len(items) // 2
                waiting.extendleft((items[half:], items[:half]))
    return results


def _groups(limits: BatchLimits, bodies: Iterable[dict[str, Any]]) -> Iterator[list[bytes]]:
    """The items as JSON, as many together as one request may have. An item is never left out."""
    frame = len(_BEFORE) + len(_AFTER)
    group: list[bytes] = []
    size, old = frame, 0
    for body in bodies:
        item = json_of(body)
        is_old = _is_old(body)
        full = len(group) >= limits.items or size + len(item) + 1 > limits.body_bytes
        if group and (full or (is_old and old >= _MOST_OLD)):
            yield group
            group, size, old = [], frame, 0
        group.append(item)
        size += len(item) + 1  # and a comma
        old += is_old
    if group:
        yield group


def _is_old(body: dict[str, Any]) -> bool:
    """Whether an item is, or looks like, a message of the XOR cipher."""
    message = body.get("ciphertext")
    if message is None or body["format"] == "raw":
        return False
    return body["format"] == "xor" or bytes(message[:3]) != b"MFN"


def _results(reply: Reply, count: int, result: Callable[[_Item], T]) -> list[T | MfnError]:
    answer = decoded(reply, _Answer)
    if len(answer.items) != count:
        raise ServiceError("the service answered another number of items than it was sent")
    request_id = reply.headers.get("x-request-id")
    return [
        result(item)
        if item.error is None
        else error_of_problem(item.error, item.error.status, request_id)
        for item in answer.items
    ]
