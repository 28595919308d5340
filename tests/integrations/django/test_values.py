"""What is stored is a tag and a sealed message, and what is read is what was stored."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError
from mycelium_fractal_net.security.records.keys import Verb
from tests.integrations.django.shop.models import Customer, Everything

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring

pytestmark = pytest.mark.usefixtures("db")

VALUES: dict[str, Any] = {
    "text": "Zoë",
    "long_text": "",
    "slug": "a-b",
    "address": "2001:db8::1",
    "data": b"\x00\xff",
    "number": -3,
    "count": 7,
    "price": Decimal("12.50"),
    "ratio": 0.5,
    "yes": True,
    "day": datetime.date(2026, 3, 1),
    "moment": datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC),
    "hour": datetime.time(12, 30),
    "span": datetime.timedelta(days=-1, microseconds=1),
    "uid": uuid.UUID(int=5),
    "document": {"b": [1, None], "a": "é"},
}


def column(name: str) -> Any:
    """What the database has in a column of the one row of ``Everything``."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name} FROM shop_everything")
        return cursor.fetchone()[0]


def test_every_kind_is_covered() -> None:
    """Each field of the model has a value here."""
    names = {each.name for each in Everything._meta.fields}
    assert names - {"id"} == set(VALUES)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_sealed_read_back_and_found(name: str) -> None:
    """Of the type it had, by its attribute and in values(), and by nothing but itself."""
    value = VALUES[name]
    Everything.objects.create(**{name: value})
    stored = column(name)
    assert isinstance(stored, bytes)
    assert stored[32:36] == b"MFN\x01"
    read = getattr(Everything.objects.get(), name)
    assert read == value
    assert type(read) is type(value)
    assert Everything.objects.values_list(name, flat=True).get() == value
    assert Everything.objects.filter(**{name: value}).exists()
    assert Everything.objects.filter(**{f"{name}__in": [value]}).exists()
    assert not Everything.objects.exclude(**{name: value}).exists()
    Everything.objects.update(**{name: None})
    assert column(name) is None
    assert Everything.objects.filter(**{name: None}).exists()
    assert not Everything.objects.filter(**{name: value}).exists()


def test_equal_values_are_found_however_they_are_spelled() -> None:
    """A decimal with fewer places, an instant of another zone, members in another order."""
    Everything.objects.create(**VALUES)
    east = datetime.timezone(datetime.timedelta(hours=2))
    for same in (
        {"price": Decimal("12.5")},
        {"price": "12.5"},
        {"moment": datetime.datetime(2026, 3, 1, 14, tzinfo=east)},
        {"document": {"a": "é", "b": [1, None]}},
        {"number": "-3"},
        {"day": "2026-03-01"},
    ):
        assert Everything.objects.filter(**same).exists(), same


def test_two_rows_of_one_value_differ_behind_the_tag() -> None:
    """Each message is sealed anew."""
    for _ in range(2):
        Customer.objects.create(email=f"{_}@example.com", city="Graz")
    with connection.cursor() as cursor:
        cursor.execute("SELECT city FROM shop_customer")
        first, second = (row[0] for row in cursor.fetchall())
    assert first[:32] == second[:32]
    assert first[32:] != second[32:]


def test_a_value_moved_to_another_column_does_not_open() -> None:
    """The error names the column and nothing that was in it."""
    Customer.objects.create(email="alice@example.com", city="Graz")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shop_customer SET city = email")
    with pytest.raises(DecryptionError, match=r"^shop_customer\.city: the message") as caught:
        Customer.objects.get()
    assert "alice" not in str(caught.value)


@pytest.mark.parametrize("stored", ["2000000000000", "'x'", "1.5"])
def test_what_is_no_bytes_does_not_open(stored: str) -> None:
    """SQLite stores it in any column; a number was as many zero bytes, and the end of memory."""
    with pytest.raises(DecryptionError, match=r"shop_everything\.text"):
        list(Everything.objects.raw(f"SELECT 1 AS id, {stored} AS text"))


def test_what_is_longer_than_the_field_is_not_stored() -> None:
    """The database cannot tell, so the field does; the value is not shown. It may be searched."""
    assert not Customer.objects.filter(city="Grz" * 14).exists()
    with pytest.raises(InvalidInputError, match=r"^shop_customer\.city: .*than 40") as caught:
        Customer.objects.create(email="alice@example.com", city="Grz" * 14)
    assert "Grz" not in str(caught.value)


def test_auto_now_and_defaults_are_those_of_the_wrapped_field() -> None:
    """And so are the names of choices."""
    made = Customer.objects.create(email="alice@example.com")
    read = Customer.objects.get()
    assert read.changed == made.changed
    assert read.level == "plain"
    assert read.get_level_display() == "No card"
    assert read.city == ""


def test_a_queryset_that_was_kept_finds_rows_after_a_rotation(keyring: Keyring) -> None:
    """Its tags are made when it is run."""
    kept = Customer.objects.filter(email="carol@example.com")
    assert not kept.all()
    keyring.provider.keys.rotate("customers-index")
    keyring.provider.states.apply(Verb.ACTIVATE, "customers-index:v2")
    keyring.refresh()
    Customer.objects.create(name="Carol", email="carol@example.com")
    assert [each.name for each in kept.all()] == ["Carol"]
