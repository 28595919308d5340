"""The same on PostgreSQL: what is stored, found, refused and kept unique."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import FieldError
from django.db import IntegrityError, ProgrammingError, connections, transaction
from django.db.models import F

from mycelium_fractal_net.integrations.django import Tag
from tests.integrations.django.conftest import undone
from tests.integrations.django.shop.models import Customer, Everything
from tests.integrations.django.test_uniqueness import ALICE, BOB, STEPS
from tests.integrations.django.test_values import VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.keyring.keyring import Keyring

pytestmark = pytest.mark.long
customers = Customer.objects.using("postgresql")


@pytest.fixture(autouse=True)
def around(postgresql: None, keys: Keyring) -> Iterator[None]:
    """A transaction for each test."""
    with undone("postgresql"):
        yield


def sweep() -> None:
    """The newest version's tag in front of every row's e-mail."""
    column = Customer._meta.get_field("email").at_work()
    with connections["postgresql"].cursor() as cursor:
        cursor.execute("SELECT id, email FROM shop_customer")
        for key, stored in cursor.fetchall():
            tag = column.tags(column.open(bytes(stored)))[0]
            cursor.execute(
                "UPDATE shop_customer SET email = %s WHERE id = %s", (tag + bytes(stored)[32:], key)
            )


def test_values_of_each_kind_are_read_back_and_found() -> None:
    """In bulk as well, where Django would hand the database arrays."""
    Everything.objects.using("postgresql").bulk_create([Everything(**VALUES) for _ in range(3)])
    for read in Everything.objects.using("postgresql").all():
        assert {name: getattr(read, name) for name in VALUES} == VALUES
    for name, value in VALUES.items():
        assert Everything.objects.using("postgresql").filter(**{name: value}).count() == 3


def test_bulk_updates_choose_between_sealed_values() -> None:
    """Which this database wants cast to the column's type."""
    made = customers.bulk_create([Customer(email=f"{i}@example.com") for i in range(2)])
    for each in made:
        each.email = f"new{each.email}"
    made[0].phone = "+43 1 234"
    assert customers.bulk_update(made, ["email", "phone"]) == 2
    assert customers.get(email="new0@example.com").phone == "+43 1 234"
    assert customers.get(email="new1@example.com").phone is None


def test_a_search_uses_the_index_of_the_tag() -> None:
    """The expression of a query is that of the index."""
    with connections["postgresql"].cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    for query in (customers.filter(email=ALICE), customers.filter(email__in=[ALICE, BOB])):
        assert "one_customer_for_each_email" in query.explain()


def test_what_is_not_known_is_refused_by_the_database() -> None:
    """A function that there is not; what is known, before."""
    with pytest.raises(FieldError, match="cannot be ordered by"):
        list(customers.order_by("email"))
    with pytest.raises(FieldError, match="copied"), transaction.atomic("postgresql"):
        customers.update(name=F("email"))
    email = Customer._meta.get_field("email")
    sql, _ = email.get_col("shop_customer").as_sql(
        customers.all().query.get_compiler("postgresql"), connections["postgresql"]
    )
    with pytest.raises(ProgrammingError, match="mfn_encrypted_fields_are_only_selected"):
        with transaction.atomic("postgresql"), connections["postgresql"].cursor() as cursor:
            cursor.execute(f"SELECT max({sql}) FROM shop_customer")
    assert customers.annotate(tag=Tag("email")).count() == 0


@pytest.mark.parametrize("step", STEPS)
def test_a_value_is_not_stored_twice(keyring: Keyring, step: str) -> None:
    """At each step of a rotation, by INSERT and by UPDATE; a row may keep its own."""
    alice = customers.create(name="Alice", email=ALICE)
    bob = customers.create(email=BOB)
    for act in STEPS[step]:
        if act.__name__ == "sweep":
            sweep()
        else:
            act(keyring)
    writes: list[Any] = [
        lambda: customers.create(email=ALICE),
        lambda: customers.filter(pk=bob.pk).update(email=ALICE),
        lambda: customers.bulk_update([Customer(pk=bob.pk, email=ALICE)], ["email"]),
    ]
    for write in writes:
        with pytest.raises(IntegrityError) as caught, transaction.atomic("postgresql"):
            write()
        assert "alice" not in str(caught.value)
    alice.save(using="postgresql")
    assert customers.get(email=ALICE).name == "Alice"
