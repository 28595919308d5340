"""What the Django REST framework and django-filter make of encrypted fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import FieldError
from django.test.utils import modify_settings
from django_filters import FilterSet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework import filters, serializers, viewsets
from rest_framework.test import APIRequestFactory
from rest_framework.validators import UniqueValidator

from mycelium_fractal_net.integrations.django import RefusedError
from tests.integrations.django.conftest import undone
from tests.integrations.django.shop.models import Customer, Everything

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("db")
ALICE, BOB = "alice@example.com", "bob@example.com"


class OfCustomers(serializers.ModelSerializer):
    class Meta:  # noqa: D106
        model = Customer
        fields = "__all__"


class OfEverything(serializers.ModelSerializer):
    class Meta:  # noqa: D106
        model = Everything
        fields = "__all__"


class Customers(viewsets.ModelViewSet):
    """As a site has it."""

    authentication_classes = ()
    permission_classes = ()
    queryset = Customer.objects.order_by("id")
    serializer_class = OfCustomers
    filter_backends = (DjangoFilterBackend, filters.SearchFilter, filters.OrderingFilter)
    filterset_fields = ("email", "phone", "level")
    search_fields: tuple[str, ...] = ("name", "email__exact")


class SearchedByParts(Customers):
    search_fields = ("email",)


@pytest.fixture(scope="module", autouse=True)
def customers(tables: None, keys: None) -> Iterator[None]:
    """Alice and Bob, and the templates of the framework."""
    with (
        modify_settings(INSTALLED_APPS={"append": ["rest_framework", "django_filters"]}),
        undone(),
    ):
        Customer.objects.create(name="Alice", email=ALICE, phone="+43 1 234")
        Customer.objects.create(name="Bob", email=BOB)
        yield


def answer(method: str, data: Any = None, key: int | None = None, view: Any = Customers) -> Any:
    """What a view answers to a request."""
    made = getattr(APIRequestFactory(), method)("/", data, format=None)
    action = {"get": "list", "post": "create", "put": "update", "patch": "partial_update"}
    keywords = {} if key is None else {"pk": key}
    return view.as_view({method: action[method]})(made, **keywords).render()


def names(asked: dict[str, str], view: Any = Customers) -> list[str]:
    """Who is in the list that is asked for so."""
    return [each["name"] for each in answer("get", asked, view=view).data]


def test_a_serializer_has_the_fields_of_what_is_wrapped() -> None:
    """And what it saved it reads again."""
    declared = OfCustomers().fields
    assert isinstance(declared["email"], serializers.EmailField)
    assert declared["email"].max_length == 80
    assert isinstance(declared["level"], serializers.ChoiceField)
    given = {"number": 7, "price": "1.50", "day": "2026-02-03", "document": {"a": [1]}}
    made = OfEverything(data=given)
    assert made.is_valid(), made.errors
    saved = made.save()
    read = OfEverything(Everything.objects.get(pk=saved.pk)).data
    assert {name: read[name] for name in given} == given


def test_a_value_that_is_there_is_an_error_of_its_field() -> None:
    """UniqueTag gives the serializer its validator, which leaves the row itself out."""
    (validator,) = [
        each for each in OfCustomers().fields["email"].validators
        if isinstance(each, UniqueValidator)
    ]  # fmt: skip
    said = {"email": [validator.message]}
    bob = Customer.objects.get(email=BOB)
    new = answer("post", {"email": ALICE, "level": "gold"})
    assert (new.status_code, new.data) == (400, said)
    changed = answer("patch", {"email": ALICE}, bob.pk)
    assert (changed.status_code, changed.data) == (400, said)
    assert answer("patch", {"email": BOB, "note": "late"}, bob.pk).status_code == 200
    wrong = answer("post", {"email": "none", "phone": "1", "level": "silver"})
    assert (wrong.status_code, set(wrong.data)) == (400, {"email", "phone", "level"})
    with undone():
        assert answer("post", {"email": "eve@example.com", "level": "gold"}).status_code == 201


def test_filters_find_whole_values() -> None:
    """Of django-filter and of the framework; each word that is searched for is one."""
    assert names({"email": BOB}) == ["Bob"]
    assert names({"phone": "+43 1 234"}) == ["Alice"]
    assert names({"search": ALICE}) == ["Alice"]
    assert names({"search": "alice"}) == ["Alice"]  # by name
    assert names({"ordering": "-name"}) == ["Bob", "Alice"]


@pytest.mark.parametrize(
    ("asked", "view"),
    [
        ({"ordering": "email"}, Customers),
        ({"search": "alice"}, SearchedByParts),
        ({"level": "gold"}, Customers),
    ],
    ids=str,
)
def test_what_only_plaintext_could_answer_is_refused(asked: Any, view: Any) -> None:
    """Ordering, parts of a value, and fields without an index; the error names the field."""
    with pytest.raises(RefusedError, match=r"shop\.Customer\.(email|level) is encrypted: "):
        names(asked, view)


def test_a_filter_by_parts_is_refused_as_it_is_declared() -> None:
    """By django-filter's own error, and not when somebody asks."""
    meta = type("Meta", (), {"model": Customer, "fields": {"email": ["contains"]}})
    with pytest.raises(FieldError, match=r"'contains' for field 'shop\.Customer\.email'"):
        type("ByParts", (FilterSet,), {"Meta": meta})


def test_the_pages_of_the_framework_show_its_forms() -> None:
    """With the filters of django-filter."""
    made = APIRequestFactory().get("/", HTTP_ACCEPT="text/html")
    shown = Customers.as_view({"get": "list"})(made).render().content.decode()
    assert ALICE in shown
    assert 'name="email"' in shown
