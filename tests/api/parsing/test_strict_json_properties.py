"""What holds for all documents: one meaning, the models' meaning, two errors."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pydantic
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from mycelium_fractal_net.api.parsing.faults import MalformedError, SchemaError
from mycelium_fractal_net.api.parsing.model_structs import struct_of
from mycelium_fractal_net.api.parsing.strict_json import decoder
from tests.support.strict_models import (
    MODELS,
    Batch,
    CreateKey,
    CreateKeys,
    Encrypt,
    dumped,
    refused,
)

# Values that are right in some places and wrong in others, and members of every model.
_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 1002),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["sealed", "raw", "signing", "orders", "orders\n", "0rders", "", "-", 'a"b']),
    st.text(max_size=7),
)
_names = st.sampled_from(sorted({n for model in MODELS for n in model.model_fields} | {"other"}))
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=6,
)
_encrypts = st.fixed_dictionaries(
    {"data": st.text(max_size=9)},
    optional={
        "key_id": st.none() | st.text(max_size=9),
        "associated_data": st.none() | st.text(max_size=9),
        "format": st.sampled_from(["sealed", "raw"]),
        "reference": st.none() | st.text(max_size=5),
    },
)
_keys = st.fixed_dictionaries(
    {
        "key_id": st.sampled_from(["a", "orders"]),
        "key_type": st.sampled_from(["encryption", "signing"]),
        "note": st.none() | st.text(max_size=9),
    },
    optional={
        "rotation": st.none()
        | st.fixed_dictionaries(
            {}, optional={"days": st.none() | st.integers(1, 1000), "retain": st.integers()}
        ),
        "publish": st.booleans(),
        "label": st.sampled_from(["", "-", "--"]),
    },
)
_valid = st.one_of(
    st.tuples(st.just(Encrypt), _encrypts),
    st.tuples(
        st.just(Batch),
        st.fixed_dictionaries({"items": st.lists(_encrypts, min_size=1, max_size=3)}),
    ),
    st.tuples(st.just(CreateKey), _keys),
    st.tuples(st.just(CreateKeys), st.fixed_dictionaries({"keys": st.lists(_keys, max_size=3)})),
)


@given(_valid, st.booleans(), st.sampled_from([None, 1]))
def test_an_accepted_document_reads_as_pydantic_reads_it(
    case: tuple[type[BaseModel], Any], ascii_only: bool, indent: int | None
) -> None:
    """What the OpenAPI document promises is what the handlers get."""
    model, document = case
    body = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()
    read = decoder(model)(body)
    assert dumped(read) == model.model_validate_json(body, strict=True).model_dump()


@given(st.sampled_from(MODELS), st.dictionaries(_names, _values, max_size=5))
def test_the_models_decide_what_is_accepted(model: type[BaseModel], document: Any) -> None:
    """Documents near the right ones are taken if pydantic's strict mode takes them, else not."""
    body = json.dumps(document).encode()
    try:
        expected = model.model_validate_json(body, strict=True).model_dump()
    except pydantic.ValidationError:
        assert isinstance(refused(model, body), SchemaError)
    else:
        assert dumped(decoder(model)(body)) == expected


def _written(value: Any, twice: list[int], draw: Any) -> str:
    """``value`` as JSON; of the member with the number ``twice`` there are two."""
    if isinstance(value, list):
        return f"[{','.join(_written(each, twice, draw) for each in value)}]"
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=draw(st.booleans()))
    members = []
    for name, inner in value.items():
        twice[0] -= 1
        again = twice[0] == -1
        members.append((name, _written(inner, twice, draw)))
        if again:
            other = draw(st.sampled_from(['""', "null", "0", "[]", "{}", members[-1][1]]))
            members.insert(draw(st.integers(0, len(members))), (name, other))
    space = draw(st.sampled_from(["", " "]))
    return "{" + ",".join(f"{_name(name, draw)}{space}:{text}" for name, text in members) + "}"


def _name(name: str, draw: Any) -> str:
    at = draw(st.integers(0, 3 * len(name)))
    return f'"{name[:at]}\\u{ord(name[at]):04x}{name[at + 1 :]}"' if at < len(name) else f'"{name}"'


@given(_valid, st.integers(0, 20), st.data())
def test_a_document_with_any_member_twice_is_refused(
    case: tuple[type[BaseModel], Any], number: int, data: st.DataObject
) -> None:
    """At any depth, with any value, in any order, with its name escaped or not."""
    model, document = case
    left = [number]
    body = _written(document, left, data.draw).encode()
    if left[0] >= 0:
        assert dumped(decoder(model)(body))
    else:
        refused(model, body)


@given(_valid)
def test_quotation_marks_are_never_counted_too_high(case: tuple[type[BaseModel], Any]) -> None:
    """A count that is too high could hide a duplicate; a usual body has the very count."""
    model, document = case
    body = json.dumps(document).encode()
    count = struct_of(model).quotes(decoder(model)(body))
    assert count <= body.count(b'"')


@given(st.sampled_from(MODELS), st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_any_bytes_give_an_object_or_one_of_two_errors(model: type[BaseModel], body: bytes) -> None:
    """The table from errors to statuses needs no other row."""
    with contextlib.suppress(MalformedError, SchemaError):
        decoder(model)(body)
