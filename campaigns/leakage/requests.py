"""Requests for every route of docs/openapi.json, right and wrong, with markers in them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from campaigns.leakage.search import Marker

DOCUMENT: Final = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
_JSON: Final = {"content-type": "application/json"}
_WHOLE: Final = ("data", "plaintext", "message")  # members that are data


class Request(NamedTuple):
    """One request; ``what`` says what is wrong with it."""

    operation: str
    what: str
    method: str
    path: str
    headers: dict[str, str]
    content: bytes | None


class Markers(NamedTuple):
    """What is sent: data, what is associated with it, text in the place of something else, and a
    name of a key that is not there."""

    plaintext: Marker
    bound: Marker
    wrong: Marker
    name: Marker


def walked(markers: Markers) -> Iterator[Request]:
    """For each operation: as its example has it, and wrong in each way that there is."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            name = operation["operationId"]
            yield from _of(name, method.upper(), path, operation, markers)


def _of(
    name: str, method: str, path: str, operation: dict[str, Any], markers: Markers
) -> Iterator[Request]:
    plaintext, bound, wrong, absent = markers
    text, key_id = wrong.value.decode("ascii"), absent.value.decode("ascii")
    known = re.sub(r"\{\w+\}", "orders", path)
    content = operation.get("requestBody", {}).get("content", {})
    stream = "application/octet-stream" in content
    headers = {"content-type": "application/octet-stream"} if stream else {}
    if "application/json" in content:
        headers = _JSON
        schema = _resolved(content["application/json"]["schema"])
        example = _filled(_example(schema), plaintext, bound)
        yield Request(name, "as in its example", method, known, headers, _dump(example))
        for fault, sent in _wrong(schema, example, plaintext.value.decode("ascii"), text):
            yield Request(name, fault, method, known, headers, sent)
    elif stream:
        more = {**headers, "x-associated-data": base64.b64encode(bound.value).decode()}
        yield Request(name, "a stream", method, f"{known}?key_id=orders", more, plaintext.value)
        yield Request(name, "a stream of JSON", method, known, _JSON, plaintext.value)
    else:
        yield Request(name, "as it is", method, known, {}, None)
    body = plaintext.value if content else None
    if "{" in path:
        named = re.sub(r"\{\w+\}", key_id, path)
        yield Request(name, "another name", method, named, headers, body)
        shouted = re.sub(r"\{\w+\}", f"{text}%0A", path)
        yield Request(name, "no name", method, shouted, headers, body)
    yield Request(name, "query", method, f"{known}?{text}={text}", headers, body)
    yield Request(name, "name in a query", method, f"{known}?key_id={key_id}", headers, body)
    yield Request(name, "header", method, known, {**headers, "x-associated-data": text}, body)
    stranger = {**headers, "x-api-key": f"mfn_{'a' * 16}_{text[:43]:_<43}"}
    yield Request(name, "another credential", method, known, stranger, body)


def _wrong(
    schema: dict[str, Any], example: dict[str, Any], text: str, secret: str
) -> Iterator[tuple[str, bytes]]:
    for member in schema.get("properties", {}):
        for wrong, value in (("type", {text: [text]}), ("text", f"{text}\n{secret}")):
            yield f"{member}: {wrong}", _dump({**example, member: value})
    yield "unknown member", _dump({**example, text: secret})
    yield "cut off", _dump({**example, "data": text})[:-2]
    yield "twice", _dump(example)[:-1] + f',"data":"{text}","data":"{secret}"}}'.encode()
    yield "no JSON", text.encode()
    yield "not UTF-8", b'{"data": "' + text.encode() + b'\xff"}'


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema
    while "$ref" in found:
        found = DOCUMENT["components"]["schemas"][found["$ref"].rpartition("/")[2]]
    return found


def _example(schema: dict[str, Any]) -> dict[str, Any]:
    examples = schema.get("examples") or [{}]
    found = max(examples, key=len)
    return dict(found) if isinstance(found, dict) else {}


def _filled(value: Any, plaintext: Marker, bound: Marker) -> Any:
    """An example with markers for what is data and what is associated with it."""
    if isinstance(value, list):
        return [_filled(each, plaintext, bound) for each in value]
    if not isinstance(value, dict):
        return value
    filled = {name: _filled(each, plaintext, bound) for name, each in value.items()}
    for name in filled:
        if name in _WHOLE:
            filled[name] = base64.b64encode(plaintext.value).decode()
        elif name.endswith("associated_data"):
            filled[name] = base64.b64encode(bound.value).decode()
    return filled


def _dump(body: object) -> bytes:
    return json.dumps(body).encode()
