"""The reference: the same routes as anybody would write them with FastAPI.

``async def``, pydantic models, ``Depends`` for the API key, raw AES-256-GCM with a key that stays
in memory. No scopes, no audit, no strict parsing. The key that callers send is the environment's
``REFERENCE_API_KEY``.

python -m benchmarks.http.reference [--workers N]
"""

from __future__ import annotations

import base64
import os
import secrets
from typing import Annotated

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel

from benchmarks.http.serving import main

_NONCE_BYTES = 12  # SP 800-38D 5.2.1.1

app = FastAPI()
_expected = os.environ.get("REFERENCE_API_KEY", "").encode()
_cipher = AESGCM(secrets.token_bytes(32))


class EncryptRequest(BaseModel):
    data: str
    key_id: str | None = None
    associated_data: str | None = None


class EncryptResponse(BaseModel):
    ciphertext: str
    algorithm: str
    key_id: str


class DecryptRequest(BaseModel):
    ciphertext: str
    key_id: str | None = None
    associated_data: str | None = None


class DecryptResponse(BaseModel):
    data: str
    key_id: str


class EncryptBatch(BaseModel):
    items: list[EncryptRequest]


class EncryptBatchAnswer(BaseModel):
    items: list[EncryptResponse]


async def api_key(x_api_key: Annotated[str, Header()] = "") -> None:
    if not _expected or not secrets.compare_digest(x_api_key.encode(), _expected):
        raise HTTPException(401)


def _associated(text: str | None) -> bytes | None:
    return base64.b64decode(text) if text else None


def _encrypted(item: EncryptRequest) -> EncryptResponse:
    nonce = os.urandom(_NONCE_BYTES)
    data = base64.b64decode(item.data)
    made = nonce + _cipher.encrypt(nonce, data, _associated(item.associated_data))
    return EncryptResponse(
        ciphertext=base64.b64encode(made).decode(),
        algorithm="AES-256-GCM",
        key_id=item.key_id or "reference:v1",
    )


@app.post("/crypto/encrypt", dependencies=[Depends(api_key)])
async def encrypt(body: EncryptRequest) -> EncryptResponse:
    return _encrypted(body)


@app.post("/crypto/encrypt/batch", dependencies=[Depends(api_key)])
async def encrypt_batch(body: EncryptBatch) -> EncryptBatchAnswer:
    return EncryptBatchAnswer(items=[_encrypted(item) for item in body.items])


@app.post("/crypto/decrypt", dependencies=[Depends(api_key)])
async def decrypt(body: DecryptRequest) -> DecryptResponse:
    made = base64.b64decode(body.ciphertext)
    nonce, rest = made[:_NONCE_BYTES], made[_NONCE_BYTES:]
    try:
        data = _cipher.decrypt(nonce, rest, _associated(body.associated_data))
    except InvalidTag:
        raise HTTPException(400) from None
    return DecryptResponse(data=base64.b64encode(data).decode(), key_id="reference:v1")


if __name__ == "__main__":
    main(app)
