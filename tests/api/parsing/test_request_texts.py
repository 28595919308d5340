"""Base64 and query strings: one spelling for each value, nothing skipped."""

from __future__ import annotations

import base64
import contextlib
import string
from itertools import product
from typing import Annotated, Literal
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from mycelium_fractal_net.api.parsing.base64_text import base64_bytes
from mycelium_fractal_net.api.parsing.faults import MalformedError, SchemaError
from mycelium_fractal_net.api.parsing.query_string import query_decoder
from tests.support.strict_models import Batch, CreateCredential, Strict, dumped

ALPHABET = string.ascii_letters + string.digits + "+/"


class Query(Strict):
    after: Annotated[str, Field(max_length=9)] = ""
    key: str | None = None
    order: Literal["up", "down"] = "up"
    limit: Annotated[int, Field(ge=-5, le=1000)] = 100
    all: bool | None = None


read = query_decoder(Query)


def refused(query: bytes) -> MalformedError | SchemaError:
    """The refusal of a query string that must be refused."""
    with pytest.raises((MalformedError, SchemaError)) as caught:
        read(query)
    error = caught.value
    assert isinstance(error, MalformedError | SchemaError)
    assert error.__context__ is None
    return error


@given(st.binary(max_size=100))
def test_base64_of_any_bytes_gives_them_back(value: bytes) -> None:
    """The padded standard alphabet of RFC 4648 section 4."""
    assert base64_bytes(base64.b64encode(value).decode()) == value


@given(st.text(ALPHABET + "=-_ \n\0é", max_size=12))
def test_base64_is_taken_only_in_its_one_spelling(text: str) -> None:
    """What is taken encodes to the same text again, so that nothing has two texts."""
    try:
        canonical = base64.b64encode(base64.b64decode(text)).decode() == text
    except ValueError:
        canonical = False
    if canonical:
        assert base64.b64encode(base64_bytes(text)).decode() == text
    else:
        with pytest.raises(SchemaError):
            base64_bytes(text)


@pytest.mark.parametrize("form", ["{}{}==", "AAAA{}{}==", "A{}{}="])
def test_unused_bits_of_the_last_character_are_zero(form: str) -> None:
    """All endings there are: each group of 16 or 4 that the decoder takes for one has one left."""
    taken = 0
    for one, two in product(ALPHABET, repeat=2):
        text = form.format(one, two)
        canonical = base64.b64encode(base64.b64decode(text)).decode() == text
        with contextlib.suppress(SchemaError):
            assert base64.b64encode(base64_bytes(text)).decode() == text
            assert canonical
            taken += 1
    assert taken == {2: 64 * 4, 1: 64 * 16}[form.count("=")]


@pytest.mark.parametrize(
    "text",
    ["=", "==", "A=", "A", "AA", "AAA", "AA=", "A===", "AA==AA==", "AAAA====", "QQ==\n", "-_8="],
)
def test_base64_with_anything_more_or_less_is_refused(text: str) -> None:
    """No missing or misplaced padding, no line ends, no other alphabet; the text is not told."""
    with pytest.raises(SchemaError) as caught:
        base64_bytes(text, "/items/0/data")
    assert caught.value.__context__ is None
    assert caught.value.faults == (
        ("/items/0/data", "must be base64 (RFC 4648 section 4), padded, with unused bits zero"),
    )


def test_no_query_string_gives_the_defaults() -> None:
    """A route with parameters may be called without any."""
    found = read(b"")
    assert dumped(found) == Query().model_dump()


def test_parameters_are_read_as_their_types() -> None:
    """Integers from digits, truth from two words, the rest as text; names may be encoded too."""
    found = read(b"%6cimit=-5&all=true&key=a%2Fb%c3%a9+%2B&order=down&after=")
    assert dumped(found) == {
        "after": "", "key": "a/bé +", "order": "down", "limit": -5, "all": True,
    }  # fmt: skip
    assert read(b"all=false").all is False


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "after": st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=9),
            "key": st.text(st.characters(exclude_characters="\0", codec="utf-8")),
            "limit": st.integers(-5, 1000),
        },
    )
)
def test_what_a_client_encodes_is_what_is_read(parameters: dict[str, str | int]) -> None:
    """The encoding of forms, as every HTTP client writes it."""
    found = dumped(read(urlencode(parameters).encode()))
    assert found == Query.model_validate(parameters, strict=True).model_dump()


@pytest.mark.parametrize(
    "query",
    [
        b"limit",
        b"=1",
        b"&",
        b"limit=1&",
        b"&limit=1",
        b"key=%",
        b"key=%4",
        b"key=%zz",
        b"key=%ff",
        b"key=%C0%A2",
        b"key=%00",
        b"key=a\xc3\xa9",
        b"key=a b",
        b"key=a\nb",
        b"key=a#b",
        b"limit=1&limit=1",
        b"limit=1&%6cimit=2",
        b"nobody=1&nobody=1",
    ],
)
def test_what_is_not_names_and_values_in_utf8_is_malformed(query: bytes) -> None:
    """Nothing is skipped, and nothing said twice."""
    assert isinstance(refused(query), MalformedError)


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        (
            b"secret=1",
            [("?", "holds a name that is not known; there are after, key, order, limit, all")],
        ),
        (b"limit=secret", [("?limit", "must be an integer")]),
        (b"limit=", [("?limit", "must be an integer")]),
        (b"limit=01", [("?limit", "must be an integer")]),
        (b"limit=+1", [("?limit", "must be an integer")]),
        (b"limit=-0", [("?limit", "must be an integer")]),
        (b"limit=1.0", [("?limit", "must be an integer")]),
        (b"limit=1_0", [("?limit", "must be an integer")]),
        (b"limit=%D9%A1", [("?limit", "must be an integer")]),
        (b"limit=" + b"1" * 5000, [("?limit", "must be an integer")]),
        (b"limit=1001", [("?limit", "must be at most 1000")]),
        (b"all=1", [("?all", "must be true or false")]),
        (b"all=True", [("?all", "must be true or false")]),
        (b"order=secret", [("?order", "must be 'up' or 'down'")]),
        (b"limit=x&key=%0a&all=", [
            ("?limit", "must be an integer"), ("?all", "must be true or false"),
        ]),
        (b"after=0123456789", [("?after", "must have at most 9 characters")]),
    ],
)  # fmt: skip
def test_a_parameter_that_does_not_fit_is_named(
    query: bytes, faults: list[tuple[str, str]]
) -> None:
    """All faults, by the names of the model alone, without the values."""
    error = refused(query)
    assert isinstance(error, SchemaError)
    assert list(error.faults) == faults


@given(st.binary(max_size=40) | st.text("limt=&%01+", max_size=20).map(str.encode))
def test_any_query_string_gives_an_object_or_one_of_two_errors(query: bytes) -> None:
    """The table from errors to statuses needs no other row."""
    with contextlib.suppress(MalformedError, SchemaError):
        read(query)


@pytest.mark.parametrize("model", [Batch, CreateCredential])
def test_a_model_with_arrays_is_no_query(model: type[BaseModel]) -> None:
    """A name stands once in a query string, so that it holds no list."""
    with pytest.raises(TypeError):
        query_decoder(model)
