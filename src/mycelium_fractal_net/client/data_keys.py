"""Data keys: asked for, and reported on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from mycelium_fractal_net.client.steps import decoded, json_request
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.utils import Buffer

    from mycelium_fractal_net.client.steps import Steps
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.sealed.sealer import DataKey

__all__ = ["Use", "data_key", "report"]


class _Answer(msgspec.Struct, frozen=True):
    wrapped: bytes
    plaintext: bytes
    key_id: str


class Use(NamedTuple):
    """What was done with data keys of one version: messages, and bytes of plaintext."""

    key_id: str
    encrypted: int
    decrypted: int
    failed: int
    bytes: int


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
    answer = decoded((yield json_request("POST", "/crypto/datakey", asked)), _Answer)
    try:
        return policy.data_key(answer.plaintext, answer.wrapped), answer.key_id
    except (DecryptionError, InvalidKeyError):
        pass
    raise ServiceError("the service sent what is no data key")


def report(uses: Iterable[Use], reference: str | None) -> Steps[None]:
    """Have it recorded what was done. Repeated only if it never arrived: it would count twice."""
    asked = {"uses": [use._asdict() for use in uses], "reference": reference}
    yield json_request("POST", "/crypto/datakey/report", asked, repeatable=False)
