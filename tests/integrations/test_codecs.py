"""Values as bytes: they come back, equal ones are equal bytes, and no error shows one."""

from __future__ import annotations

import datetime
import enum
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mycelium_fractal_net.integrations import codecs
from mycelium_fractal_net.integrations.codecs import Codec
from mycelium_fractal_net.security.errors import InvalidInputError


class Tier(enum.Enum):
    BASIC = 1
    GOLD = 2


MINUTE = datetime.timedelta(minutes=1)
OFFSETS = st.timedeltas(datetime.timedelta(hours=-23), datetime.timedelta(hours=23))
ZONES = st.builds(datetime.timezone, OFFSETS.map(lambda each: each - each % MINUTE))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip
KINDS: dict[str, tuple[Codec, st.SearchStrategy[Any]]] = {
    "text": (codecs.TEXT, st.text()),
    "bytes": (codecs.BYTES, st.binary()),
    "integer": (codecs.INTEGER, st.integers()),
    "decimal": (codecs.DECIMAL, st.decimals(allow_nan=False, allow_infinity=False)),
    "places": (codecs.decimal_places(2, 10), st.decimals(-(10**7), 10**7, places=2)),
    "float": (codecs.FLOAT, st.floats(allow_nan=False, allow_infinity=False)),
    "boolean": (codecs.BOOLEAN, st.booleans()),
    "date": (codecs.DATE, st.dates()),
    "datetime": (codecs.DATETIME, st.datetimes()),
    "instant": (
        codecs.DATETIME,
        st.datetimes(
            datetime.datetime(2, 1, 1), datetime.datetime(9998, 1, 1), timezones=ZONES
        ),
    ),
    "time": (codecs.TIME, st.times()),
    "uuid": (codecs.UUID, st.uuids()),
    "json": (codecs.JSON, JSON),
    "enumeration": (codecs.enumeration(Tier), st.sampled_from(Tier)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50)
@given(data=st.data())
def test_a_value_comes_back(kind: str, data: st.DataObject) -> None:
    """What is read equals what was written, and is written as the same bytes again."""
    codec, values = KINDS[kind]
    value = data.draw(values)
    written = codec.encode(value)
    found = codec.read(written)
    assert found == value
    assert codec.encode(found) == written


@pytest.mark.parametrize(
    ("codec", "one", "other"),
    [
        (codecs.DECIMAL, Decimal("1.0"), Decimal("1.000")),
        (codecs.DECIMAL, Decimal("-0"), Decimal("0E+7")),
        (codecs.DECIMAL, Decimal(1200), Decimal("1.2E+3")),
        (codecs.FLOAT, -0.0, 0.0),
        (codecs.FLOAT, 3, 3.0),
        (codecs.JSON, {"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (
            codecs.DATETIME,
            datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC),
            datetime.datetime(
                2026, 1, 1, 14, tzinfo=datetime.timezone(datetime.timedelta(hours=2))
            ),
        ),
    ],
)
def test_equal_values_have_one_spelling(codec: Codec, one: Any, other: Any) -> None:
    """A search by one finds what was stored as the other."""
    assert codec.encode(one) == codec.encode(other)


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        (codecs.TEXT, b"secret"),
        (codecs.TEXT, "secret\ud800"),
        (codecs.BYTES, "secret"),
        (codecs.INTEGER, True),
        (codecs.INTEGER, 1.5),
        (codecs.DECIMAL, Decimal("NaN")),
        (codecs.DECIMAL, "secret"),
        (codecs.decimal_places(2), Decimal("1.005")),
        (codecs.decimal_places(2, 4), Decimal(100)),
        (codecs.decimal_places(2), Decimal("1E+999999")),
        (codecs.FLOAT, float("inf")),
        (codecs.FLOAT, 10**400),
        (codecs.FLOAT, True),
        (codecs.BOOLEAN, 1),
        (codecs.DATE, datetime.datetime(2026, 1, 1)),
        (codecs.DATETIME, datetime.date(2026, 1, 1)),
        (
            codecs.DATETIME,
            datetime.datetime.max.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-1))),
        ),
        (codecs.TIME, datetime.time(1, tzinfo=datetime.UTC)),
        (codecs.UUID, "secret"),
        (codecs.JSON, {"secret"}),
        (codecs.JSON, float("nan")),
        (codecs.enumeration(Tier), "GOLD"),
        (codecs.bounded(codecs.TEXT, 3), "secret"),
    ],
)
def test_what_is_not_of_the_kind_is_refused_without_being_shown(codec: Codec, value: Any) -> None:
    """It would come back as something else, or have two spellings."""
    with pytest.raises(InvalidInputError) as caught:
        codec.encode(value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"text", "bytes"}))
def test_what_was_stored_as_another_kind_is_refused_without_being_shown(kind: str) -> None:
    """A column whose type was changed says so, and does not show what it has."""
    with pytest.raises(InvalidInputError) as caught:
        KINDS[kind][0].read(b"secret\xff")
    assert "secret" not in str(caught.value)
