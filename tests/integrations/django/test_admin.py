"""What ``manage.py check`` says of an admin is what its pages do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django
import pytest
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.sites import all_sites
from django.contrib.auth.models import User
from django.core.exceptions import FieldError
from django.db.models import F
from django.test import RequestFactory

from mycelium_fractal_net.integrations.django.admin_checks import of_admin
from tests.integrations.django.conftest import undone
from tests.integrations.django.shop.models import Customer, Everything, Order

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("db")
ALICE = "alice@example.com"


@pytest.fixture(scope="module", autouse=True)
def alice(tables: None, keys: None) -> Iterator[None]:
    """A customer with an order."""
    with undone():
        Order.objects.create(customer=Customer.objects.create(name="Alice", email=ALICE))
        yield


def told(model: Any, **options: Any) -> list[tuple[str, str]]:
    """The checks of an admin of ``model`` with these options."""
    site = admin.AdminSite("other")
    made = type("Made", (admin.ModelAdmin,), options)
    site.register(model, made)
    found = [(each.id, each.msg) for each in of_admin() if each.obj is made]
    all_sites.discard(site)  # else other tests' checks meet it until it is collected
    return found


def page(model: Any, asked: str = "", **options: Any) -> list[Any]:
    """The rows of its list, with ``?asked``."""
    made = type("Made", (admin.ModelAdmin,), options)(model, admin.site)
    request = RequestFactory().get(f"/?{asked}")
    request.user = User(is_staff=True, is_superuser=True)
    shown = made.get_changelist_instance(request)
    for each in shown.filter_specs:
        list(each.choices(shown))
    return list(shown.result_list)


ANSWERED = [
    (Customer, "q=alice%40example.com", {"search_fields": ["name", "email__exact"]}),
    (Customer, "q=%22%2B43+1+234%22", {"search_fields": ["phone__iexact", "=phone"]}),
    (Customer, "q=Graz", {"search_fields": ["town__may_equal"]}),
    (Order, "q=alice%40example.com", {"search_fields": ["customer__email__exact"]}),
    (Everything, "yes__exact=1", {"list_filter": ["yes"]}),
    (Customer, "", {"list_filter": ["name", ("note", admin.EmptyFieldListFilter)]}),
    (Order, "", {"search_fields": ["total__exact", "pk", "customer__pk"], "ordering": ["-pk"]}),
    (Customer, "", {"ordering": ["name", F("pk").desc()], "date_hierarchy": None}),
]


REFUSED = [
    (Customer, "q=a", {"search_fields": ["email"]}),
    (Customer, "q=a", {"search_fields": ["=email"]}),
    (Customer, "q=a", {"search_fields": ["^email"]}),
    (Customer, "q=a", {"search_fields": ["note__exact"]}),
    (Customer, "q=a", {"search_fields": ["town__exact"]}),
    (Order, "q=a", {"search_fields": ["customer__email"]}),
    (Customer, "", {"list_filter": ["email"]}),
    (Everything, "day__gte=2026-01-01&day__lt=2026-02-01", {"list_filter": ["day"]}),
    (Customer, "level__exact=gold", {"list_filter": ["level"]}),
    (Customer, "", {"list_filter": [("email", admin.AllValuesFieldListFilter)]}),
    (Customer, "", {"ordering": ["email"]}),
    (Order, "", {"ordering": [F("customer__email").desc()]}),
]
BY_NUMBER = (Everything, "q=1", {"search_fields": ["number__exact"]})
(REFUSED if django.VERSION < (6, 1) else ANSWERED).append(BY_NUMBER)


@pytest.mark.parametrize(("model", "asked", "options"), ANSWERED, ids=str)
def test_what_can_be_answered_is_not_spoken_of(model: Any, asked: str, options: Any) -> None:
    """And is answered."""
    assert told(model, sortable_by=(), **options) == []
    page(model, asked, **options)


@pytest.mark.parametrize(("model", "asked", "options"), REFUSED, ids=str)
def test_what_only_plaintext_could_answer_is_an_error(model: Any, asked: str, options: Any) -> None:
    """Which names the field; the page itself is refused, or asked again without it."""
    ((name, text),) = told(model, sortable_by=(), **options)
    assert name == "mfn.E007"
    assert text.startswith(f"{next(iter(options))}: shop.")
    assert " is encrypted: " in text
    with pytest.raises((FieldError, IncorrectLookupParameters)):
        page(model, asked, **options)


def test_the_days_of_an_encrypted_date_are_no_hierarchy() -> None:
    """Nothing groups by them."""
    assert told(Everything, date_hierarchy="day") == [
        ("mfn.E007", "date_hierarchy: shop.Everything.day is encrypted: nothing is computed of it")
    ]


def by_email(_: Any) -> str:
    """A column of the admin's own."""
    return "it"


by_email.admin_order_field = "-customer__email"  # type: ignore[attr-defined]


def test_a_column_that_a_click_would_sort_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless sortable_by leaves it out; methods and functions sort by what they name."""
    ((name, text),) = told(Customer, list_display=["name", "email"])
    assert name == "mfn.W003"
    assert "shop.Customer.email" in text
    assert told(Customer, list_display=["name", "email"], sortable_by=["name"]) == []
    assert told(Customer, list_display=["name", "__str__"]) == []
    with pytest.raises(FieldError):
        page(Customer, "o=2", list_display=["name", "email"])
    monkeypatch.setattr(Order, "mail", property(by_email), raising=False)
    for options in (
        {"list_display": [by_email]},
        {"list_display": ["mail"]},
        {"list_display": ["post"], "post": by_email},
    ):
        assert [each for each, _ in told(Order, **options)] == ["mfn.W003"]
    assert told(Order, list_display=["total", "customer"]) == []


def test_an_ordering_that_is_none_is_left_to_django() -> None:
    """Whose own check tells of it."""
    assert told(Customer, ordering=["no_such_field"], sortable_by=()) == []
