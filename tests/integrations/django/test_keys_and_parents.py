"""Models whose primary key is composite, and models that have parents."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import Count

from mycelium_fractal_net.integrations.django import RefusedError
from tests.integrations.django.conftest import undone
from tests.integrations.django.shop.models import Customer, Member, Seat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.keyring.keyring import Keyring

pytestmark = pytest.mark.usefixtures("db")
DAY = datetime.date(2026, 2, 3)


@pytest.fixture
def seats(keyring: Keyring) -> Iterator[Keyring]:
    """Ada and Grace have the first two seats of one hall."""
    with undone():
        for number, guest in enumerate(("Ada", "Grace"), start=1):
            Seat.objects.create(hall=1, number=number, guest=guest)
        yield keyring


def refused_twice() -> None:
    """Whoever writes Ada into another seat is refused, and who writes her into her own is not."""
    ada = Seat.objects.get(guest="Ada")
    assert ada.pk == (1, 1)
    ada.save()
    Seat.objects.bulk_update([ada], ["guest"])
    assert Seat.objects.filter(pk=(1, 1)).update(guest="Ada") == 1
    grace = Seat.objects.get(guest="Grace")
    grace.guest = "Ada"
    for write in (
        lambda: Seat.objects.create(hall=2, number=1, guest="Ada"),
        grace.save,
        lambda: Seat.objects.bulk_update([grace], ["guest"]),
        lambda: Seat.objects.filter(pk=(1, 2)).update(guest="Ada"),
    ):
        with pytest.raises(IntegrityError), undone():
            write()
    with pytest.raises(ValidationError):
        grace.full_clean()


def test_a_composite_key_tells_rows_apart_while_the_index_key_is_rotated(seats: Keyring) -> None:
    """As one column does: the row that is written is none of the others."""
    refused_twice()
    seats.provider.keys.rotate("customers-index")
    seats.refresh()
    refused_twice()
    Seat.objects.create(hall=2, number=1, guest="Mary")
    assert Seat.objects.get(guest="Mary").pk == (2, 1)


def test_a_composite_key_beside_a_value_makes_rows_differ(seats: Keyring) -> None:
    """All of it; a part of it does not."""
    grouped = Seat.objects.annotate(n=Count("hall")).values_list("guest", "n")
    assert sorted(grouped) == [("Ada", 1), ("Grace", 1)]
    assert Seat.objects.distinct().count() == 2
    assert len(Seat.objects.values("hall", "number", "guest").distinct()) == 2
    assert len(Seat.objects.values("pk", "guest").distinct()) == 2
    with pytest.raises(RefusedError):
        list(Seat.objects.values("hall", "guest").distinct())
    with pytest.raises(RefusedError):
        list(Seat.objects.values("hall", "guest").annotate(n=Count("number")))


def test_a_child_has_the_fields_of_its_parent() -> None:
    """Found, unique and written through either; each is bound to the table that has it."""
    made = Member.objects.create(name="Ada", email="ada@example.com", since=DAY)
    assert Member.objects.get(email="ada@example.com").since == DAY
    assert Customer.objects.get(email="ada@example.com").member == made
    made.full_clean()
    with pytest.raises(ValidationError, match="already exists"):
        Member(email="ada@example.com", level="gold", since=DAY).full_clean()
    with pytest.raises(IntegrityError), undone():
        Member.objects.create(email="ada@example.com")
    found = Member.objects.filter(email="ada@example.com")
    assert found.update(email="eve@example.com", since=None) == 1
    assert list(Member.objects.values_list("email", "since")) == [("eve@example.com", None)]
    assert [each.since for each in Member.objects.only("since").distinct()] == [None]
    with pytest.raises(RefusedError, match=r"shop\.Member\.since is encrypted"):
        list(Customer.objects.order_by("member__since"))
