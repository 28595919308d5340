"""What is sent to the servers, and how an answer is known to be right."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

KIB, MIB = 1 << 10, 1 << 20
BATCH_ITEMS = 100
JSON, OCTETS = "application/json", "application/octet-stream"


@dataclass(frozen=True)
class Request:
    """A request that can be sent over and over: ``items`` things of ``size`` bytes.

    ``check`` raises :class:`WrongAnswerError`, or returns requests whose answers show that this
    one was right.
    """

    path: str
    body: bytes
    check: Callable[[bytes], list[Request]]
    items: int = 1
    size: int = KIB
    content_type: str = JSON


class WrongAnswerError(Exception):
    """An answer that is good by its status alone."""


def encrypt(size: int = KIB, *, raw: bool = False) -> Request:
    """One message. Whatever comes must open again."""
    data = os.urandom(size)

    def check(answer: bytes) -> list[Request]:
        return [_open(json.loads(answer), data)]

    return Request("/crypto/encrypt", _json(_item(data, raw)), check, size=size)


def encrypt_batch(*, raw: bool = False) -> Request:
    """A batch of messages. The first and the last must open again, all must be there."""
    datas = [os.urandom(KIB) for _ in range(BATCH_ITEMS)]

    def check(answer: bytes) -> list[Request]:
        items = json.loads(answer)["items"]
        if len(items) != BATCH_ITEMS or any("ciphertext" not in each for each in items):
            raise WrongAnswerError("not every item of the batch was encrypted")
        return [_open(items[at], datas[at]) for at in (0, -1)]

    body = _json({"items": [_item(data, raw) for data in datas]})
    return Request("/crypto/encrypt/batch", body, check, items=BATCH_ITEMS)


def decrypt(made: bytes, data: bytes | None = None) -> Request:
    """Opening what :func:`encrypt` was answered."""
    return _open(json.loads(made), data)


def sign() -> Request:
    data = _base64(os.urandom(KIB))

    def check(answer: bytes) -> list[Request]:
        return [_verify(data, json.loads(answer)["signature"])]

    return Request("/crypto/sign", _json({"data": data}), check)


def verify(signing: Request, signed: bytes) -> Request:
    """Verifying what :func:`sign` was answered."""
    return _verify(json.loads(signing.body)["data"], json.loads(signed)["signature"])


def encrypt_stream() -> Request:
    """1 MiB as octets."""
    data = os.urandom(MIB)

    def check(answer: bytes) -> list[Request]:
        return [decrypt_stream(answer, data)]

    return Request("/crypto/encrypt/stream", data, check, size=MIB, content_type=OCTETS)


def decrypt_stream(sealed: bytes, data: bytes | None = None) -> Request:
    """Opening what :func:`encrypt_stream` was answered."""

    def check(answer: bytes) -> list[Request]:
        _expect(data is None or answer == data)
        return []

    return Request("/crypto/decrypt/stream", sealed, check, size=MIB, content_type=OCTETS)


def openbao_encrypt(key: str) -> Request:
    """:func:`encrypt` by OpenBao's transit engine."""
    data = os.urandom(KIB)

    def check(answer: bytes) -> list[Request]:
        return [_openbao_open(key, json.loads(answer)["data"]["ciphertext"], data)]

    return Request(f"/v1/transit/encrypt/{key}", _json({"plaintext": _base64(data)}), check)


def openbao_encrypt_batch(key: str) -> Request:
    """:func:`encrypt_batch` by OpenBao's transit engine."""
    datas = [os.urandom(KIB) for _ in range(BATCH_ITEMS)]

    def check(answer: bytes) -> list[Request]:
        results = json.loads(answer)["data"]["batch_results"]
        if len(results) != BATCH_ITEMS or any("ciphertext" not in each for each in results):
            raise WrongAnswerError("not every item of the batch was encrypted")
        return [_openbao_open(key, results[at]["ciphertext"], datas[at]) for at in (0, -1)]

    body = _json({"batch_input": [{"plaintext": _base64(data)} for data in datas]})
    return Request(f"/v1/transit/encrypt/{key}", body, check, items=BATCH_ITEMS)


def _openbao_open(key: str, ciphertext: str, data: bytes) -> Request:
    def check(answer: bytes) -> list[Request]:
        _expect(b64decode(json.loads(answer)["data"]["plaintext"]) == data)
        return []

    return Request(f"/v1/transit/decrypt/{key}", _json({"ciphertext": ciphertext}), check)


def _open(made: dict[str, str], data: bytes | None) -> Request:
    raw = not b64decode(made["ciphertext"]).startswith(b"MFN")
    asked = {"ciphertext": made["ciphertext"], "key_id": made["key_id"]}

    def check(answer: bytes) -> list[Request]:
        _expect(data is None or b64decode(json.loads(answer)["data"]) == data)
        return []

    return Request("/crypto/decrypt", _json(asked | ({"format": "raw"} if raw else {})), check)


def _verify(data: str, signature: str) -> Request:
    def check(answer: bytes) -> list[Request]:
        _expect(json.loads(answer) == {"valid": True})
        return []

    return Request("/crypto/verify", _json({"data": data, "signature": signature}), check)


def _expect(right: bool) -> None:
    if not right:
        raise WrongAnswerError("an answer is not what was to come")


def _item(data: bytes, raw: bool) -> dict[str, str]:
    return {"data": _base64(data)} | ({"format": "raw"} if raw else {})


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
