"""Data keys: asked for, and reported on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mycelium_fractal_net.client.operations import request_bytes
from mycelium_fractal_net.client.steps import decoded, json_request
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.utils import Buffer

    from mycelium_fractal_net.client.steps import Steps
    from mycelium_fractal_net.client.values import Versioned
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.sealed.sealer import DataKey


class _DataKeyReply(msgspec.Struct, frozen=True):
    wrapped: bytes
    plaintext: bytes
    key_id: str


def data_key(
    policy: Policy,
    key_id: str | None,
    associated_data: Buffer,
    reference: str | None,
) -> Steps[tuple[DataKey, str]]:
    """A data key, and the version that wrapped it."""
    asked = {
        "key_id": key_id,
        "associated_data": as_bytes(associated_data) or None,
        "reference": reference,
    }
    answer = decoded((yield json_request("POST", "/crypto/datakey", asked)), _DataKeyReply)
    try:
        return policy.data_key(answer.plaintext, answer.wrapped), answer.key_id
    except (DecryptionError, InvalidKeyError):
        pass
    raise ServiceError("the service sent what is no data key")


def wrapped_data_key(
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    reference: str | None = None,
) -> Steps[Versioned]:
    """A new data key that is wrapped alone, 116 bytes, for whoever hands it on.

    Scope: ``datakey:KEY``. :meth:`data_key` gives the plain one too.
    """
    asked = {
        "key_id": key_id,
        "associated_data": as_bytes(associated_data) or None,
        "wrapped_only": True,
        "reference": reference,
    }
    return (yield from request_bytes("/crypto/datakey", asked, "wrapped"))


def report(uses: Mapping[str, Mapping[str, int]], reference: str | None) -> Steps[None]:
    """Have it recorded what was done with the data keys of each version.

    That are the messages ``encrypted``, ``decrypted`` and ``failed``, and ``bytes`` of plaintext.
    Repeated only if it never arrived: it would count twice.
    """
    shown = [{"key_id": key_id, **counts} for key_id, counts in uses.items()]
    asked = {"uses": shown, "reference": reference}
    yield json_request("POST", "/crypto/datakey/report", asked, repeatable=False)
