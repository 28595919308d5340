"""The query parameters of the stream routes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import AssociatedData, KeyId, Model


class EncryptStreamQuery(Model):
    """Under which key."""

    key_id: KeyId = None


class DecryptStreamQuery(Model):
    """A key that the message must be of, and what else opening it needs."""

    key_id: KeyId = None
    data_key_associated_data: AssociatedData = None
    allow_compromised: Annotated[
        bool, Field(description="Open also what a compromised version protected.")
    ] = False
