"""Models of the kinds that the service has, and how what was read of one is looked at."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from mycelium_fractal_net.api.parsing.faults import MalformedError, SchemaError
from mycelium_fractal_net.api.parsing.strict_json import decoder


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Encrypt(Strict):
    data: str
    key_id: str | None = None
    associated_data: str | None = None
    format: Literal["sealed", "raw"] = "sealed"
    reference: Annotated[str | None, Field(max_length=5)] = None


class Batch(Strict):
    items: Annotated[list[Encrypt], Field(min_length=1, max_length=3)]


class Rotation(Strict):
    days: Annotated[int, Field(ge=1, le=1000)] | None = None
    retain: int = 3


class CreateKey(Strict):
    key_id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]{0,7}$")]
    key_type: Literal["encryption", "signing"]
    rotation: Rotation | None = None
    publish: bool = False
    note: str | None
    label: str = "-"


class CreateKeys(Strict):
    keys: list[CreateKey]


class CreateCredential(Strict):
    name: str
    scopes: list[str]
    levels: list[int] = Field(min_length=1)
    expires_at: datetime | None = None


MODELS: tuple[type[BaseModel], ...] = (Encrypt, Batch, Rotation, CreateKey, CreateKeys)


def refused(model: type[BaseModel], body: bytes) -> MalformedError | SchemaError:
    """The refusal of a body that must be refused."""
    with pytest.raises((MalformedError, SchemaError)) as caught:
        decoder(model)(body)
    error = caught.value
    assert isinstance(error, MalformedError | SchemaError)
    return error


def dumped(value: Any) -> Any:
    """What was read, as pydantic dumps its models."""
    if isinstance(value, list):
        return [dumped(each) for each in value]
    fields = getattr(value, "__struct_fields__", None)
    return value if fields is None else {name: dumped(getattr(value, name)) for name in fields}
