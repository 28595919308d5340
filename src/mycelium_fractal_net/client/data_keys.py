"""Data keys: asked for, and reported on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from mycelium_fractal_net.client.operations import made
from mycelium_fractal_net.client.steps import decoded, json_request, optional
from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.utils import Buffer

    from mycelium_fractal_net.client.steps import Steps
    from mycelium_fractal_net.client.values import Versioned
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.sealed.sealer import DataKey


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
        "associated_data": optional(associated_data),
        "reference": reference,
    }
    answer = decoded((yield json_request("POST", "/crypto/datakey", asked)), _Answer)
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
        "associated_data": optional(associated_data),
        "wrapped_only": True,
        "reference": reference,
    }
    return (yield from made("/crypto/datakey", asked, "wrapped"))


def report(uses: Iterable[Use], reference: str | None) -> Steps[None]:
    """Have it recorded what was done. Repeated only if it never arrived: it would count twice."""
    asked = {"uses": [use._asdict() for use in uses], "reference": reference}
    yield json_request("POST", "/crypto/datakey/report", asked, repeatable=False)
