"""The routes that say whether the service serves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import Model

__all__ = ["Live", "Ready"]


class Live(Model):
    """The process answers."""

    status: Literal["ok"]


class Ready(Model):
    """Whether requests are served; what is wrong is told to credentials with `metrics:read`."""

    status: Literal["ready", "unavailable"]
    backends: Annotated[
        dict[str, str] | None,
        Field(description="Each backend and its state; absent without a credential."),
    ] = None
