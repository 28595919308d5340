"""The routes that say whether the service serves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import Model, examples


class Live(Model):
    """The process answers."""

    model_config = examples({"status": "ok"})

    status: Literal["ok"]


class Ready(Model):
    """Whether requests are served; what is wrong is told to credentials with `metrics:read`."""

    model_config = examples(
        {"status": "ready"},
        {"status": "unavailable", "backends": {"key-store": "unavailable", "audit": "ok"}},
    )

    status: Literal["ready", "unavailable"]
    backends: Annotated[
        dict[str, str] | None,
        Field(description="Each backend and its state, `ok` or not; absent without a credential."),
    ] = None
