"""Bodies have one meaning or are refused, and no refusal repeats what was sent."""

from __future__ import annotations

import importlib
import json
import pkgutil
import threading
from datetime import datetime
from typing import Annotated, Any, Literal

import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field

from mycelium_fractal_net.api import schemas
from mycelium_fractal_net.api.parsing.faults import MalformedError, SchemaError
from mycelium_fractal_net.api.parsing.model_structs import struct_of
from mycelium_fractal_net.api.parsing.strict_json import decoder
from tests.support.strict_models import (
    Batch,
    CreateCredential,
    CreateKey,
    CreateKeys,
    Encrypt,
    Rotation,
    Strict,
    refused,
)

KEY = b'"key_id":"orders","key_type":"signing","note":""'


def test_absent_members_read_as_the_defaults_of_the_model() -> None:
    """A handler sees plain attributes, of inner objects too, whether they were sent or not."""
    read = decoder(Batch)(b' {"items": [{"data": "x", "format": "raw"}, {"data": "y"}]}\r\n')
    first, second = read.items
    assert (first.data, first.format, first.key_id) == ("x", "raw", None)
    assert (second.data, second.format, second.reference) == ("y", "sealed", None)


def test_what_was_read_cannot_be_changed_and_shows_no_value() -> None:
    """It may be handed to threads, and into a log by mistake."""
    read = decoder(Encrypt)(b'{"data":"secret"}')
    with pytest.raises(AttributeError):
        read.data = "other"
    assert repr(read) == str(read) == "<Encrypt>"


def test_a_time_is_rfc_3339() -> None:
    """Pydantic takes numbers and bare dates as times; here they are refused."""
    read = decoder(CreateCredential)
    text = b'{"name":"n","scopes":[],"levels":[1],"expires_at":%s}'
    assert read(text % b'"2027-01-02T03:04:05Z"').expires_at == datetime.fromisoformat(
        "2027-01-02T03:04:05+00:00"
    )
    for wrong in (b"1", b'"1"', b'"2027-01-02"'):
        assert isinstance(refused(CreateCredential, text % wrong), SchemaError)


UNKNOWN = (
    "holds a name that is not known; there are data, key_id, associated_data, format, reference"
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"nonsense",
        b'{"data":"x"',
        b'{"data":"x",}',
        b"{'data':'x'}",
        b'{"data":"x"} {}',
        b'{"data":"x"}\0',
        b'\xef\xbb\xbf{"data":"x"}',
        '{"data":"x"}'.encode("utf-16"),
        b'{"data":"\xff"}',
        b'{"data":"\xc0\xa2"}',
        b'{"data":"\xed\xa0\x80"}',
        b'{"data":"a\nb"}',
        b'{"data":"\\ud800"}',
        b'{"data":"\\udc00\\ud800"}',
        b'{"data":"\\ud800\\u0041"}',
        b'{"data":"\\x41"}',
        b'{"data":NaN}',
        b'{"data":-Infinity}',
        b'{"data":"x","key_id":nul}',
        b'{"data":1,"key_id"}',
        b'{"data":' + b"[" * 100_000,
        b'{"other":' + b'{"a":' * 100_000,
        b'{"data":"x","data":"x"}',
        b'{"data":"x","data":"y"}',
        b'{"data":"x","d\\u0061ta":"y"}',
        b'{"data":"\\"","data":"y"}',
        b'{"data":"x","key_id":null,"key_id":null}',
        b'{"data":"x","key_id":"a","key_id":null}',
        b'{"data":"x","format":"sealed","format":"sealed"}',
        b'{"data":"x","format":"raw","format":"sealed"}',
    ],
)
def test_what_is_not_one_json_value_in_utf8_is_malformed(body: bytes) -> None:
    """Nothing is guessed, skipped, repaired or chosen."""
    assert isinstance(refused(Encrypt, body), MalformedError)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (Rotation, b'{"days":1,"days":1}'),
        (Rotation, b'{"days":1,"retain":4,"days":2}'),
        (CreateKey, b"{" + KEY + b',"publish":true,"publish":true}'),
        (CreateKey, b"{" + KEY + b',"publish":true,"publish":false}'),
        (CreateKey, b"{" + KEY + b',"rotation":{},"rotation":{}}'),
        (CreateKey, b"{" + KEY + b',"rotation":{"days":1,"days":1}}'),
        (CreateKeys, b'{"keys":[],"keys":[]}'),
        (CreateKeys, b'{"keys":[{' + KEY + b',"rotation":{"days":1},"rotation":{"days":1}}]}'),
        (Batch, b'{"items":[{"data":""},{"data":"","data":""}]}'),
        (CreateCredential, b'{"name":"","scopes":["a"],"levels":[1],"levels":[1]}'),
        (CreateCredential, b'{"name":"","scopes":["a"],"scopes":["a"],"levels":[1]}'),
    ],
)
def test_a_member_that_is_there_twice_is_malformed(model: type[BaseModel], body: bytes) -> None:
    """Of every kind, at every depth, and also where both say the same."""
    assert str(refused(model, body)) == "a member is there twice"


@pytest.mark.parametrize(
    ("model", "body", "faults"),
    [
        (Encrypt, b"[]", [("", "must be an object")]),
        (Encrypt, b"null", [("", "must be an object")]),
        (Encrypt, b"{}", [("/data", "is required")]),
        (Encrypt, b'{"data":1}', [("/data", "must be a string")]),
        (Encrypt, b'{"data":null}', [("/data", "must be a string")]),
        (Encrypt, b'{"data":"","x":"","y":1}', [("", UNKNOWN)]),
        (Encrypt, b'{"data":"","format":"RAW"}', [("/format", "must be 'sealed' or 'raw'")]),
        (Encrypt, b'{"data":"","reference":"123456"}',
            [("/reference", "must have at most 5 characters")]),
        (Batch, b'{"items":[]}', [("/items", "must have at least 1 items")]),
        (Batch, b'{"items":[1,{"data":"","x":1},{}]}', [
            ("/items/0", "must be an object"),
            ("/items/1", UNKNOWN),
            ("/items/2/data", "is required"),
        ]),
        (Rotation, b'{"days":"1"}', [("/days", "must be an integer")]),
        (Rotation, b'{"days":1.0}', [("/days", "must be an integer")]),
        (Rotation, b'{"days":true}', [("/days", "must be an integer")]),
        (Rotation, b'{"days":0}', [("/days", "must be at least 1")]),
        (Rotation, b'{"days":1' + b"0" * 99 + b"}", [("/days", "must be at most 1000")]),
        (Rotation, b'{"retain":null}', [("/retain", "must be an integer")]),
        (CreateKey, b"{" + KEY + b',"publish":1}', [("/publish", "must be true or false")]),
        (CreateKey, b"{" + KEY + b',"rotation":{"days":{}}}',
            [("/rotation/days", "must be an integer")]),
        (CreateKey, b"{" + KEY.replace(b"orders", b"orders\\n") + b"}",
            [("/key_id", "must match ^[a-z][a-z0-9.-]{0,7}$")]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_by_its_place(
    model: type[BaseModel], body: bytes, faults: list[tuple[str, str]]
) -> None:
    """All faults, each with a JSON pointer and a reason; nothing is converted."""
    error = refused(model, body)
    assert isinstance(error, SchemaError)
    assert list(error.faults) == faults


def test_faults_are_listed_up_to_a_bound() -> None:
    """Neither the answer nor the work on it grows with the faults that somebody sends."""
    few = refused(Encrypt, json.dumps({"items": [{}] * 3, **dict.fromkeys("abcdefgh")}).encode())
    assert isinstance(few, SchemaError)
    assert len(few.faults) == 2
    many = refused(CreateCredential, json.dumps({"name": "", "scopes": [1] * 150}).encode())
    assert isinstance(many, SchemaError)
    assert len(many.faults) == 20
    more = refused(CreateCredential, json.dumps({"name": "", "scopes": [1] * 300}).encode())
    assert isinstance(more, SchemaError)
    assert more.faults == (("", "has too many faults to list"),)
    most = refused(CreateCredential, json.dumps({"name": 1, "scopes": [""] * 30_000}).encode())
    assert isinstance(most, SchemaError)
    assert most.faults == (("", "has too many values to look for the fault"),)


@pytest.mark.parametrize("digits", [20, 4_301, 1_000_000])
def test_a_huge_number_is_refused_soon(digits: int) -> None:
    """Turning digits into a number takes time that grows with their square."""
    refused(Rotation, b'{"days":' + b"9" * digits + b"}")
    refused(Encrypt, b'{"data":' + b"9" * digits + b"}")


@pytest.mark.parametrize("secret", ["c2VjcmV0", 'se"cret', "sécret\\"])
def test_no_refusal_holds_anything_of_the_input(secret: str) -> None:
    """Neither values nor unknown names, in no part of the error that a log could show."""
    shown = (secret, json.dumps(secret)[1:-1])
    for body in (
        {"data": {secret: secret}},
        {"data": secret, secret: secret},
        {"data": secret, "format": secret},
        {"data": secret, "reference": secret},
        {"data": secret, "key_id": [secret]},
        secret,
        [secret],
    ):
        for text in (json.dumps(body).encode(), json.dumps(body).encode() + b"}", b"\xff"):
            error = refused(Encrypt, text)
            assert error.__context__ is None
            for each in (str(error), repr(error), *map(str, vars(error).values())):
                assert not any(part in each for part in shown)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (Encrypt, b'{"data":"x"}'),
        (Encrypt, b'{"data":"x","key_id":"","associated_data":"","format":"sealed"}'),
        (Encrypt, b'{"format":"raw","data":"\\n","reference":"r"}'),
        (Batch, b'{"items":[{"data":"x"},{"data":"y","format":"sealed","reference":"r"}]}'),
        (CreateKey, b"{" + KEY + b',"publish":true,"rotation":{"days":7}}'),
        (CreateKeys, b'{"keys":[{' + KEY + b'},{"rotation":{"retain":2},' + KEY + b"}]}"),
        (CreateCredential, b'{"name":"n","scopes":["a","b"],"levels":[1,2]}'),
    ],
)
def test_a_usual_body_needs_no_second_reading(model: type[BaseModel], body: bytes) -> None:
    """The count of quotation marks alone proves that no member is there twice."""
    assert struct_of(model).quotes(decoder(model)(body)) == body.count(b'"')


def test_a_decoder_serves_several_threads() -> None:
    """Large bodies are read beside the event loop, with the same decoder."""
    read, found = decoder(Batch), list[str]()

    def work(mark: str) -> None:
        body = json.dumps({"items": [{"data": mark * 1000}] * 3}).encode()
        for _ in range(50):
            found.extend({each.data[0] + each.data[-1] for each in read(body).items} - {mark * 2})

    threads = [threading.Thread(target=work, args=(mark,)) for mark in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == []


REQUESTS = {
    name: model
    for group in pkgutil.iter_modules(schemas.__path__, f"{schemas.__name__}.")
    for name, model in vars(importlib.import_module(group.name)).items()
    if name.endswith(("Request", "Batch"))
}


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_of_the_service_has_a_decoder(name: str) -> None:
    """A model that cannot be read strictly would stop the service at its start."""
    assert callable(decoder(REQUESTS[name]))


def _model(
    annotation: Any, default: Any = ..., extra: Literal["forbid", "ignore"] = "forbid"
) -> type[BaseModel]:
    return pydantic.create_model(
        "Made", __config__=ConfigDict(extra=extra), member=(annotation, default)
    )


class _Validating(Strict):
    member: str

    @pydantic.field_validator("member")
    @classmethod
    def check(cls, value: str) -> str:
        return value


@pytest.mark.parametrize(
    "model",
    [
        _Validating,
        _model(Annotated[str, pydantic.AfterValidator(str.strip)]),
        _model(list[Annotated[str, pydantic.AfterValidator(str.strip)]]),
        _model(str, extra="ignore"),
        _model(float),
        _model(bytes),
        _model(Any),
        _model(int | str),
        _model(Literal[1]),
        _model(list[str | None]),
        _model(list[float]),
        _model(dict[str, str]),
        _model(list[str], Field(default_factory=list)),
        _model(str, Field(alias="other")),
        _model(str, 1.5),
        _model(int, Field(multiple_of=2)),
        _model(str, Field(pattern="a$")),
        _model(str, Field(pattern="^a")),
        _model(str, Field(pattern="^a$|^b$")),
        _model(str, Field(pattern=r"^a\$")),
    ],
)
def test_a_model_that_cannot_be_read_strictly_is_no_model(model: type[BaseModel]) -> None:
    """What a struct would leave out is refused when the service is made, not left unchecked."""
    with pytest.raises(TypeError):
        decoder(model)
