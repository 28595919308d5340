"""Fuzz what reads requests: bodies, query strings, base64.

    python -m fuzz strict_json -max_total_time=60 fuzz/corpus/strict_json

The first byte of an input chooses the reader. A finding is an error that is neither of the two
that readers raise, something read of a body that has a name twice, or a reader that disagrees
with slower ones: pydantic's strict mode with the standard library's parsers.
"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qsl

import pydantic

from fuzz.running import Reader, chosen
from mycelium_fractal_net.api.parsing.base64_text import base64_bytes
from mycelium_fractal_net.api.parsing.faults import MalformedError, SchemaError
from mycelium_fractal_net.api.parsing.query_string import query_decoder
from mycelium_fractal_net.api.parsing.strict_json import decoder
from mycelium_fractal_net.api.schemas.audit import AuditQuery
from mycelium_fractal_net.api.schemas.batch import EncryptBatch
from mycelium_fractal_net.api.schemas.credentials import CreateCredentialRequest
from mycelium_fractal_net.api.schemas.crypto import EncryptRequest
from mycelium_fractal_net.api.schemas.keys import CreateKeyRequest

REFUSED = (MalformedError, SchemaError)


def dumped(value: Any) -> Any:
    if isinstance(value, list):
        return [dumped(each) for each in value]
    fields = getattr(value, "__struct_fields__", None)
    return value if fields is None else {name: dumped(getattr(value, name)) for name in fields}


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a name is there twice")
    return found


def _no_constant(_: str) -> Any:
    raise ValueError("no JSON")


def expected(model: type[pydantic.BaseModel], body: bytes) -> Any:
    """What is to be read of ``body``, by slower readers; None if it is to be refused."""
    try:
        json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
        return model.model_validate_json(body, strict=True).model_dump()
    except (ValueError, RecursionError):
        return None


def _body(model: type[pydantic.BaseModel]) -> Reader:
    read = decoder(model)

    def reader(data: bytes) -> None:
        wanted = expected(model, data)
        try:
            found = dumped(read(data))
        except REFUSED:
            assert wanted is None, "a finding: refused, and pydantic takes it"
            raise
        assert found == wanted, "a finding: taken, and it has two meanings or none"

    return reader


read_query = query_decoder(AuditQuery)


def query(data: bytes) -> None:
    found = dumped(read_query(data))
    pairs = parse_qsl(data.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), "a finding: a parameter is there twice"
    for name, value in pairs:
        assert str(found[name]) == value, "a finding: a parameter reads as something else"


def text(data: bytes) -> None:
    value = base64_bytes(data.decode("latin-1"))
    assert base64.b64encode(value) == data, "a finding: two spellings of one thing"


# Bytes seldom come together as JSON; of these pieces, one for each byte, they often do.
PIECES = r"""
{ } [ ] , : " \ null true false 0 -1 1.0 90 1e2 99999999999999999999 NaN {} []
"" "QQ==" "a\"b" "é" "\ud800" "sealed" "raw" "orders" "*" "signing" {"data":""}
"data":"QQ==" "data": "d\u0061ta": "key_id": "key_id":"k" "key_id":null "format": "reference":
"items":[ {"items":[{"data":""} "name":"n" "scopes":["*"] "expires_days": "type": "publish":
"rotation":{ "interval_days": "auto_destroy": "other":
""".encode().split()


def pieces(data: bytes) -> None:
    body = b"".join(PIECES[each % len(PIECES)] for each in data[1:])
    READERS[data[0] % 4 if data else 0](body)


encrypt, batch = _body(EncryptRequest), _body(EncryptBatch)
key, credential = _body(CreateKeyRequest), _body(CreateCredentialRequest)
READERS = (encrypt, batch, key, credential, query, text, pieces)


one_input = chosen(READERS, *REFUSED)


def seeds() -> dict[str, bytes]:
    """Well-formed inputs for each reader: the corpus that mutations begin from."""
    contents = {
        "encrypt": b'{"data":"aGVsbG8=","key_id":"orders:v3","associated_data":null,'
        b'"format":"raw"}',
        "encrypt-escaped": b'{"d\\u0061ta":"\\"\\u00e9","reference":"\\ud83d\\ude00"}',
        "batch": b'{"items": [{"data": "", "reference": "1"},'
        b' {"format": "sealed", "data": "QQ=="}]}',
        "key": b'{"key_id":"k","type":"signing","use":"data","publish":true,"rotation":'
        b'{"interval_days":90,"auto_destroy":false,"retain_count":null}}',
        "credential": b'{"name":"billing","scopes":["encrypt:orders","*"],"expires_days":30}',
        "query": b"key=orders%3Av3&event=de%63rypt&since=2026-01-02T03:04:05Z&limit=17",
        "text": b"aGVsbG8=",
        "pieces": bytes(
            [0, *map(PIECES.index, (b"{", b'"data":"QQ=="', b",", b'"key_id":"k"', b"}"))]
        ),
    }
    names = ("encrypt", "batch", "key", "credential", "query", "text", "pieces")
    return {
        name: bytes([names.index(name.partition("-")[0])]) + content
        for name, content in contents.items()
    }
