"""Batches of any length, in requests that the service takes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from mycelium_fractal_net.client.lookups import Tag, index_tag_body, search_only
from mycelium_fractal_net.client.operations import (
    BytesReply,
    bytes_named,
    decrypt_body,
    encrypt_body,
    sign_body,
    verify_body,
)
from mycelium_fractal_net.client.problems import ProblemDetails, error_of_problem, error_of_reply
from mycelium_fractal_net.client.steps import JSON, UNREADABLE, Request, decoded, json_of
from mycelium_fractal_net.client.values import (
    DecryptItem,
    EncryptItem,
    SignItem,
    VerifyItem,
    Versioned,
)
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    InvalidSignatureError,
    MfnError,
    ServiceError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mycelium_fractal_net.client.replies import Reply
    from mycelium_fractal_net.client.steps import Steps
    from mycelium_fractal_net.client.values import Format
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.records.index_fields import Normalisation

T = TypeVar("T")

MAX_ITEMS: Final = 1000  # no service takes more at once
_PREFIX: Final = b'{"items":['
_SUFFIX: Final = b"]}"
_MAX_LEGACY: Final = 10  # messages of the XOR cipher, which no service opens more of at once
_TOO_LARGE: Final = frozenset({413})


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much one request of a batch has at most: as many items, and bytes of body.

    They are the service's own by default, ``server.max_batch_items`` and
    ``server.max_body_bytes``. Where its are smaller, a request that it refuses for its size is
    split further.
    """

    items: int = MAX_ITEMS
    body_bytes: int = 8_388_608

    def __post_init__(self) -> None:
        if not 1 <= self.items <= MAX_ITEMS:
            raise InvalidInputError(f"a batch has 1 to {MAX_ITEMS} items")


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
    shared = EncryptItem(b"", key_id, associated_data, format)
    bodies = _bodies(items, shared, encrypt_body, "data")
    return (yield from _batched(limits, "/crypto/encrypt/batch", bodies, _ciphertext))


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
    shared = DecryptItem(b"", key_id, associated_data, data_key_associated_data, format)
    bodies = _bodies(items, shared, decrypt_body, "ciphertext")
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
    shared = DecryptItem(b"", key_id, associated_data, data_key_associated_data, format)
    bodies = _bodies(items, shared, decrypt_body, "ciphertext")
    return (yield from _batched(limits, "/crypto/rewrap/batch", bodies, _ciphertext))


def sign_batch(
    limits: BatchLimits,
    items: Iterable[Buffer | SignItem],
    *,
    key_id: str | None = None,
) -> Steps[list[Versioned | MfnError]]:
    """:meth:`sign` for each; what is no :class:`SignItem` is data. Otherwise as encrypt_batch."""
    bodies = _bodies(items, SignItem(b"", key_id), sign_body, "data")
    return (yield from _batched(limits, "/crypto/sign/batch", bodies, _signature))


def verify_batch(limits: BatchLimits, items: Iterable[VerifyItem]) -> Steps[list[MfnError | None]]:
    """:meth:`verify` for each: None where it is valid, else the error. As encrypt_batch."""
    bodies = map(verify_body, items)
    return (yield from _batched(limits, "/crypto/verify/batch", bodies, _validity))


def index_tag_batch(
    limits: BatchLimits,
    values: Iterable[Buffer | str],
    *,
    key_id: str,
    context: Buffer,
    bits: int | None = None,
    normalisation: Normalisation = "exact",
) -> Steps[list[Versioned | MfnError]]:
    """:meth:`index_tag` for each value of one field. As encrypt_batch."""
    bodies = (index_tag_body(each, key_id, context, bits, normalisation) for each in values)
    return (yield from _batched(limits, "/crypto/index/batch", bodies, _tag))


def index_tags_batch(
    limits: BatchLimits,
    values: Iterable[Buffer | str],
    *,
    key_id: str,
    context: Buffer,
    bits: int | None = None,
    normalisation: Normalisation = "exact",
    allow_compromised: bool = False,
) -> Steps[list[list[Versioned] | MfnError]]:
    """:meth:`index_tags` for each value of one field. As encrypt_batch."""
    more = search_only(allow_compromised=allow_compromised)
    bodies = (index_tag_body(each, key_id, context, bits, normalisation) | more for each in values)
    return (yield from _batched(limits, "/crypto/index/batch", bodies, _tags))


def _bodies(
    items: Iterable[Any], shared: T, asked: Callable[[T], dict[str, Any]], name: str
) -> Iterator[dict[str, Any]]:
    """What is asked for each: of bare bytes, which get that name, what is shared."""
    of_bare, kind = asked(shared), type(shared)
    for each in items:
        yield asked(each) if isinstance(each, kind) else {**of_bare, name: as_bytes(each)}


# Splitting -------------------------------------------------------------------------------------


class _Refusal(ProblemDetails, frozen=True):
    status: int = 0


class _Item(BytesReply, frozen=True):
    """What any kind of item has: bytes, tags, or whether it is valid; or an error."""

    key_id: str = ""
    valid: bool | None = None
    tag: bytes | None = None
    tags: list[Tag] | None = None
    error: _Refusal | None = None


class _BatchReply(msgspec.Struct, frozen=True):
    items: list[_Item]


_ciphertext: Final = partial(bytes_named, "ciphertext")
_plaintext: Final = partial(bytes_named, "data")
_signature: Final = partial(bytes_named, "signature")
_tag: Final = partial(bytes_named, "tag")


def _tags(item: _Item) -> list[Versioned]:
    if item.tags is None:
        raise ServiceError(UNREADABLE)
    return [Versioned.of(each.tag, each.key_id) for each in item.tags]


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
            body = b"%b%b%b" % (_PREFIX, b",".join(items), _SUFFIX)
            reply = yield Request("POST", path, body, headers=JSON, also=_TOO_LARGE)
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
    frame = len(_PREFIX) + len(_SUFFIX)
    group: list[bytes] = []
    size, old = frame, 0
    for body in bodies:
        item = json_of(body)
        is_old = _is_legacy(body)
        full = len(group) >= limits.items or size + len(item) + 1 > limits.body_bytes
        if group and (full or (is_old and old >= _MAX_LEGACY)):
            yield group
            group, size, old = [], frame, 0
        group.append(item)
        size += len(item) + 1  # and a comma
        old += is_old
    if group:
        yield group


def _is_legacy(body: dict[str, Any]) -> bool:
    """Whether an item is, or looks like, a message of the XOR cipher."""
    message = body.get("ciphertext")
    if message is None or body["format"] == "raw":
        return False
    return body["format"] == "xor" or bytes(message[:3]) != b"MFN"


def _results(reply: Reply, count: int, result: Callable[[_Item], T]) -> list[T | MfnError]:
    answer = decoded(reply, _BatchReply)
    if len(answer.items) != count:
        raise ServiceError("the service answered another number of items than it was sent")
    request_id = reply.headers.get("x-request-id")
    return [
        result(item)
        if item.error is None
        else error_of_problem(item.error, item.error.status, request_id)
        for item in answer.items
    ]
