"""The routes that say whether the service serves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import Model, examples


class Live(Model):
    """The process answers."""

    model_config = examples({"status": "ok"})

    status: Literal["ok"]


class FipsModule(Model):
    """The OpenSSL FIPS provider that the process runs on, and what was asked of it to know that."""

    model_config = examples(
        {
            "module": "/srv/mfn/fips/fips.so",
            "version": "3.5.9",
            "sha256": "0b02caa81b50acd7d5072be37b46196effaf86505f8644529f8629a3b1de58ac",
            "proven": ["known answer of AES-256-GCM", "MD5 is refused"],
            "proven_at": "2026-11-30T08:00:00Z",
        }
    )

    module: str
    version: str | None
    sha256: str
    proven: list[str]
    proven_at: str


class Ready(Model):
    """Whether requests are served; what is wrong is told to credentials with `metrics:read`."""

    model_config = examples(
        {"status": "ready"},
        {"status": "unavailable", "backends": {"key-store": "unavailable", "audit": "ok"}},
        {
            "status": "ready",
            "backends": {"key-store": "ok", "audit": "ok", "custodian": "riding-out"},
        },
    )

    status: Literal["ready", "unavailable"]
    backends: Annotated[
        dict[str, str] | None,
        Field(description="Each backend and its state, `ok` or not; absent without a credential."),
    ] = None
    fips: Annotated[
        FipsModule | None,
        Field(description="Absent without a credential, and where FIPS mode is off."),
    ] = None
