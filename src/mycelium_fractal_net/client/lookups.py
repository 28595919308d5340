"""The tags of blind indexes, which the service makes. What these say holds for both clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mycelium_fractal_net.client.steps import UNREADABLE, decoded, json_request
from mycelium_fractal_net.client.values import Versioned
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import InvalidInputError, ServiceError

if TYPE_CHECKING:
    from typing import Any

    from mycelium_fractal_net.client.steps import Steps
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.records.index_fields import Normalisation


class Tag(msgspec.Struct, frozen=True):
    """A tag, and the version that made it."""

    tag: bytes
    key_id: str


class _Reply(msgspec.Struct, frozen=True):
    tags: list[Tag]
    tag: bytes | None = None
    key_id: str | None = None


def index_tag(
    value: Buffer | str,
    *,
    key_id: str,
    context: Buffer,
    bits: int | None = None,
    normalisation: Normalisation = "exact",
    reference: str | None = None,
) -> Steps[Versioned]:
    """The tag to store with ``value`` in the field ``context``. Scope: ``index:KEY``.

    32 bytes, or as many as hold ``bits``; text is UTF-8. All that says which field it is, is part
    of the tag (docs/searching.md). Raises :class:`KeyStateError` where the key protects nothing.
    """
    asked = index_tag_body(value, key_id, context, bits, normalisation, reference)
    reply = decoded((yield json_request("POST", "/crypto/index", asked)), _Reply)
    if reply.tag is None or reply.key_id is None:
        raise ServiceError(UNREADABLE)
    return Versioned.of(reply.tag, reply.key_id)


def index_tags(
    value: Buffer | str,
    *,
    key_id: str,
    context: Buffer,
    bits: int | None = None,
    normalisation: Normalisation = "exact",
    allow_compromised: bool = False,
    reference: str | None = None,
) -> Steps[list[Versioned]]:
    """The tags by which to search for ``value``: of every version, newest first. ``index:KEY``.

    ``WHERE tag IN (...)`` goes on finding what is there while a rotation is under way.
    """
    asked = index_tag_body(value, key_id, context, bits, normalisation, reference)
    asked |= search_only(allow_compromised=allow_compromised)
    reply = decoded((yield json_request("POST", "/crypto/index", asked)), _Reply)
    return [Versioned.of(each.tag, each.key_id) for each in reply.tags]


def search_only(*, allow_compromised: bool) -> dict[str, Any]:
    """What is asked beside that, where nothing is to be stored."""
    return {"search_only": True, "allow_compromised": allow_compromised or None}


def index_tag_body(
    value: Buffer | str,
    key_id: str,
    context: Buffer,
    bits: int | None,
    normalisation: Normalisation,
    reference: str | None = None,
) -> dict[str, Any]:
    """What is asked for the tags of a value. Raises :class:`InvalidInputError`."""
    try:
        data = value.encode() if isinstance(value, str) else as_bytes(value)
    except UnicodeEncodeError:
        raise InvalidInputError("a value has a lone surrogate, which is no text") from None
    return {
        "data": data,
        "key_id": key_id,
        "context": as_bytes(context),
        "bits": bits,
        "normalisation": normalisation,
        "reference": reference,
    }
