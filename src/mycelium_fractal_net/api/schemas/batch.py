"""Batches: many items of one kind, each with a result or an error of its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import BatchError, Model
from mycelium_fractal_net.api.schemas.crypto import (
    DecryptRequest,
    DecryptResponse,
    EncryptRequest,
    EncryptResponse,
    IndexRequest,
    IndexResponse,
    RewrapRequest,
    SignRequest,
    SignResponse,
    VerifyRequest,
    VerifyResponse,
)

_MOST = 1000
_Bounds = Field(min_length=1, max_length=_MOST)


class EncryptBatch(Model):
    """Up to 1,000 things to encrypt."""

    items: Annotated[list[EncryptRequest], _Bounds]


class DecryptBatch(Model):
    """Up to 1,000 messages to open."""

    items: Annotated[list[DecryptRequest], _Bounds]


class RewrapBatch(Model):
    """Up to 1,000 messages to move to the newest version of their keys."""

    items: Annotated[list[RewrapRequest], _Bounds]


class SignBatch(Model):
    """Up to 1,000 things to sign."""

    items: Annotated[list[SignRequest], _Bounds]


class VerifyBatch(Model):
    """Up to 1,000 signatures to verify."""

    items: Annotated[list[VerifyRequest], _Bounds]


class IndexBatch(Model):
    """Up to 1,000 values, of one field of a blind index or of several."""

    items: Annotated[list[IndexRequest], _Bounds]


class EncryptBatchAnswer(Model):
    """A message or an error for each item, in the order of the items."""

    items: list[EncryptResponse | BatchError]


class DecryptBatchAnswer(Model):
    """A plaintext or an error for each item, in the order of the items."""

    items: list[DecryptResponse | BatchError]


class SignBatchAnswer(Model):
    """A signature or an error for each item, in the order of the items."""

    items: list[SignResponse | BatchError]


class VerifyBatchAnswer(Model):
    """Valid or not, or an error, for each item, in the order of the items."""

    items: list[VerifyResponse | BatchError]


class IndexBatchAnswer(Model):
    """The tags of each value, or an error, in the order of the items."""

    items: list[IndexResponse | BatchError]
