"""The credential that calls, and the state of the service."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from mycelium_fractal_net.client.steps import decoded, json_request

if TYPE_CHECKING:
    from mycelium_fractal_net.client.steps import Steps

# Whatever a header takes; what is no API key of the service is refused there.
API_KEY: Final = "[\x21-\x7e]{1,200}"
_UNAVAILABLE: Final = frozenset({503})


class OwnCredential(msgspec.Struct, frozen=True):
    """The credential of a client. Times are UTC."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    rotated_at: datetime | None
    rotation_due: datetime
    previous_until: datetime | None


class Health(msgspec.Struct, frozen=True):
    """Whether the service serves. ``backends`` is told to credentials with ``metrics:read``."""

    status: str
    backends: dict[str, str] = {}

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        return self.status == "ready"


class _New(msgspec.Struct, frozen=True):
    api_key: Annotated[str, Meta(pattern=rf"^{API_KEY}\Z")]


def own_credential() -> Steps[OwnCredential]:
    """The credential whose API key this client sends."""
    return decoded((yield json_request("GET", "/credentials/self", None)), OwnCredential)


def rotate_own_credential(*, revoke_previous: bool = False) -> Steps[str]:
    """A new API key for the own credential; the former ends one overlap later, or at once."""
    body = {"revoke_previous": True} if revoke_previous else None
    path = "/credentials/self/rotate"
    return decoded((yield json_request("POST", path, body, repeatable=False)), _New).api_key


def health() -> Steps[Health]:
    """Whether the service serves now: an answer also where it does not."""
    reply = yield json_request("GET", "/health/ready", None, also=_UNAVAILABLE)
    return decoded(reply, Health)
