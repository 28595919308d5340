"""What may be asked of an encrypted field, and what only plaintext could answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import FieldError
from django.db import OperationalError, connection, models, transaction
from django.db.models import Case, Count, Exists, F, Max, Min, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce, Concat, Length, Lower
from django.db.models.lookups import Exact
from django.test.utils import CaptureQueriesContext

from mycelium_fractal_net.integrations.django import RefusedError
from mycelium_fractal_net.integrations.fields import RefusedQueryError
from tests.integrations.django.conftest import undone
from tests.integrations.django.shop.models import Customer, Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.security.keyring.keyring import Keyring

pytestmark = pytest.mark.usefixtures("db")
ALICE, BOB = "alice@example.com", "bob@example.com"
found = Customer.objects


@pytest.fixture(scope="module", autouse=True)
def customers(tables: None, keys: Keyring) -> Iterator[None]:
    """Alice, who has a telephone and two orders, and Bob."""
    with undone():
        alice = found.create(name="Alice", email=ALICE, phone="+43 1 234", city="Graz")
        found.create(name="Bob", email=BOB, city="Graz")
        for total in (5, 7):
            Order.objects.create(customer=alice, total=total)
        yield


def names(query: Any) -> list[str]:
    """The names that a query finds, in their order."""
    return [each.name for each in query.order_by("name")]


def test_a_value_finds_its_rows() -> None:
    """By exact and in, negated and through relations, in Q and in conditions."""
    assert found.get(email=ALICE).name == "Alice"
    assert names(found.filter(email__in=[ALICE, "nobody@example.com", None])) == ["Alice"]
    assert names(found.filter(email__in=(each for each in (ALICE, BOB)))) == ["Alice", "Bob"]
    assert names(found.filter(Q(email=ALICE) | Q(name="Bob"))) == ["Alice", "Bob"]
    assert names(found.exclude(email=ALICE)) == ["Bob"]
    assert names(found.exclude(phone="+43 1 234")) == ["Bob"]
    assert names(found.exclude(phone__in=["+43 1 234"])) == ["Bob"]
    assert Order.objects.filter(customer__email=ALICE).count() == 2
    assert names(found.filter(orders__total=5, city="Graz")) == ["Alice"]
    case = Case(When(email=ALICE, then=Value(1)), default=Value(0))
    assert names(found.annotate(one=case).filter(one=1)) == ["Alice"]
    assert found.aggregate(n=Count("id", filter=Q(email=ALICE)))["n"] == 1
    mine = Customer.objects.filter(pk=OuterRef("customer"), email=ALICE)
    assert Order.objects.filter(Exists(mine)).count() == 2


def test_an_empty_list_finds_nothing() -> None:
    """And its negation everything, without a word to the database."""
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert list(found.filter(email__in=[])) == []
        assert list(found.filter(email__in=[None])) == []
    assert len(asked) == 0
    assert found.exclude(email__in=[]).count() == 2


def test_no_value_is_found_as_no_value() -> None:
    """By isnull, and by None, which Django takes for the same."""
    for query in (found.filter(phone__isnull=True), found.filter(phone=None)):
        assert names(query) == ["Bob"]
    assert names(found.filter(phone__isnull=False)) == ["Alice"]
    assert names(found.exclude(note=None)) == []


def test_a_caseless_index_finds_other_spellings() -> None:
    """As its normalisation says."""
    found.filter(name="Bob").update(phone="ext. Ä")
    assert names(found.filter(phone="EXT. ä")) == ["Bob"]


def test_iexact_is_exact_where_the_index_is_caseless() -> None:
    """As Django's own forms ask for an e-mail address; where it is not, it is refused."""
    found.filter(name="Bob").update(phone="EXT. Ä", town="Graz")
    assert names(found.filter(phone__iexact="ext. ä")) == ["Bob"]
    assert names(found.filter(phone__iexact=None)) == []
    with pytest.raises(RefusedError, match="whose normalisation"):
        found.filter(email__iexact=ALICE)
    with pytest.raises(RefusedError, match="cut short, so not by iexact"):
        found.filter(town__iexact="Graz")


def test_tags_that_are_cut_short_find_what_may_be_meant() -> None:
    """Every row that has the value, some that have others, and not all."""
    towns = [f"town {i}" for i in range(17)]  # of 16 tags
    made = found.bulk_create([Customer(email=each, town=each) for each in towns])
    for each in towns:
        maybe = found.filter(town__may_equal=each.upper())
        assert each in {row.town for row in maybe}
        assert "USING INDEX customer_by_town" in maybe.explain()
    sizes = {found.filter(town__may_equal=each).count() for each in towns}
    assert 1 < max(sizes) < len(made)
    assert names(found.filter(town=None)) == ["Alice", "Bob"]


@pytest.mark.parametrize("lookup", ["exact", "in", "iexact"])
def test_tags_that_are_cut_short_answer_no_equality(lookup: str) -> None:
    """Which would be true of too many rows, and of too few where it is negated."""
    with pytest.raises(RefusedError, match=r"Customer\.town is encrypted: .*ask may_equal"):
        found.filter(**{f"town__{lookup}": ["x"]})
    negated: tuple[Any, ...] = (
        found.exclude(town__may_equal="x"),
        found.filter(~Q(name="x", town__may_equal="x")),
        found.filter(Q(name="x") ^ Q(town__may_equal="x")),
        found.annotate(x=Case(When(~Q(town__may_equal="x"), then=1))),
        Order.objects.exclude(customer__town__may_equal="x"),
    )
    for query in negated:
        with pytest.raises(RefusedError, match="negated, a search by cut tags"):
            list(query)
    assert list(found.exclude(~Q(town__may_equal="x"))) == []


def test_tags_and_sealed_messages_are_all_that_goes_to_the_database() -> None:
    """Neither a search nor a write shows it plaintext, its log included."""
    with CaptureQueriesContext(connection) as asked:
        found.create(name="Carol", email="carol@example.com", note="plaintext")
        found.filter(email="carol@example.com").update(note="plaintext")
        assert found.get(email="carol@example.com").note == "plaintext"
    assert len(asked) == 3
    for query in asked:
        assert "carol@" not in query["sql"]
        assert "plaintext" not in query["sql"]


def test_a_search_uses_the_index_of_the_tag() -> None:
    """The expression of a query is that of the index."""
    for query, index in (
        (found.filter(email=ALICE), "one_customer_for_each_email"),
        (found.filter(phone__in=["1", "2"]), "customer_by_phone"),
        (found.filter(city="Graz"), "customer_by_city"),
    ):
        assert f"USING INDEX {index}" in query.explain()


def test_values_are_opened_wherever_they_are_selected() -> None:
    """In values(), through relations, by an annotation, deferred, in a subquery, of a union."""
    assert list(found.order_by("name").values_list("email", flat=True)) == [ALICE, BOB]
    assert set(Order.objects.values_list("customer__email", flat=True)) == {ALICE}
    assert found.annotate(mail=F("email")).get(mail=ALICE).mail == ALICE
    assert found.defer("email").get(name="Bob").email == BOB
    assert found.only("name").get(email=BOB).email == BOB
    assert Order.objects.select_related("customer").first().customer.email == ALICE
    mail = Subquery(Customer.objects.filter(pk=OuterRef("customer")).values("email"))
    assert {each.mail for each in Order.objects.annotate(mail=mail)} == {ALICE}
    assert len(found.filter(name="Bob").union(found.filter(email=ALICE))) == 2
    assert found.raw("SELECT * FROM shop_customer WHERE name = 'Bob'")[0].email == BOB


def test_beside_its_row_s_key_a_value_is_grouped_and_told_apart() -> None:
    """Counting what belongs to a row, and leaving out what a join has doubled, is no comparison."""
    counted = found.annotate(n=Count("orders")).order_by("name")
    assert [(each.email, each.n) for each in counted] == [(ALICE, 2), (BOB, 0)]
    assert len(found.filter(orders__total__gt=0).distinct()) == 1
    pairs = found.values("id", "email").annotate(n=Count("orders"))
    assert {each["email"]: each["n"] for each in pairs} == {ALICE: 2, BOB: 0}
    assert len(found.filter(orders__total__gt=0).values("pk", "email").distinct()) == 1


LOOKUPS = [
    "iexact", "contains", "icontains", "startswith", "gt", "gte", "lt", "lte", "range", "regex",
    "year", "lower", "nothing",
]  # fmt: skip


def with_mail() -> Any:
    """Orders with the e-mail address of their customer."""
    mail = Subquery(Customer.objects.filter(pk=OuterRef("customer")).values("email"))
    return Order.objects.annotate(mail=mail)


REFUSED: dict[str, Callable[[], Any]] = {
    "order_by": lambda: found.order_by("email"),
    "order_by descending": lambda: found.order_by("name", "-email"),
    "order_by F": lambda: found.order_by(F("email").desc(nulls_last=True)),
    "order_by a relation": lambda: Order.objects.order_by("customer__email"),
    "order_by an annotation": lambda: found.annotate(mail=F("email")).order_by("mail"),
    "order_by a function": lambda: found.order_by(Lower("email")),
    "distinct": lambda: found.values("email").distinct(),
    "distinct beside another": lambda: found.values_list("name", "email").distinct(),
    "group by": lambda: found.values("email").annotate(n=Count("id")),
    "group by through a relation": lambda: (
        Order.objects.values("customer__email").annotate(n=Count("id"))
    ),
    "union": lambda: found.values("email").union(found.values("email")),
    "a function": lambda: found.annotate(low=Lower("email")),
    "another function": lambda: found.annotate(low=Concat(F("email"), Value("x"))),
    "its length": lambda: found.filter(name__gt=Length("email")),
    "coalesce": lambda: found.annotate(any=Coalesce("phone", "email")),
    "a comparison to another field": lambda: found.filter(name=F("email")),
    "a lookup that is made by hand": lambda: found.filter(Exact(F("email"), "x")),
    "order_by a subquery": lambda: with_mail().order_by("mail"),
    "group by a subquery": lambda: with_mail().values("mail").annotate(n=Count("id")),
    "distinct subqueries": lambda: with_mail().values("mail", "total").distinct(),
    "ordering by a condition": lambda: found.order_by(
        Case(When(name="x", then=F("email")), default=None)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_plaintext_is_refused(name: str) -> None:
    """By an error that names the field, before the database is asked."""
    with CaptureQueriesContext(connection) as asked:
        with pytest.raises(FieldError, match=r"^shop\.Customer\.(email|phone) is encrypted: "):
            list(REFUSED[name]())
    assert len(asked) == 0


@pytest.mark.parametrize("aggregate", [Max, Min, Count])
def test_aggregates_are_refused(aggregate: Any) -> None:
    """Of sealed values nothing is the greatest, and none is there twice."""
    with pytest.raises(RefusedError, match="nothing is computed of it"):
        found.aggregate(x=aggregate("email"))
    with pytest.raises(RefusedError, match="nothing is computed of it"):
        list(found.values("name").annotate(x=aggregate("email")))
    with pytest.raises(RefusedError, match="nothing is computed of it"):
        found.aggregate(x=Count("email", distinct=True))


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_other_lookups_are_refused(lookup: str) -> None:
    """When the query is built, and by an error of this package and of Django at once."""
    with pytest.raises(RefusedError, match=rf"^shop\.Customer\.email is encrypted: .*{lookup}"):
        found.filter(**{f"email__{lookup}": "x"})
    assert issubclass(RefusedError, RefusedQueryError)


def test_without_an_index_nothing_is_found_by_its_value() -> None:
    """But whether there is one."""
    lookups: tuple[dict[str, Any], ...] = ({"note": "x"}, {"note__in": ["x"]}, {"note__in": []})
    for lookup in lookups:
        with pytest.raises(RefusedError, match=r"^shop\.Customer\.note is encrypted: it has no"):
            found.filter(**lookup)
    assert found.filter(note__isnull=True).count() == 2


def test_it_is_compared_to_values_alone() -> None:
    """Not to other columns, nor to what another query finds."""
    for lookup in (
        {"email": F("name")},
        {"email__in": [F("name")]},
        {"email__in": Customer.objects.values("email")},
        {"email": Subquery(Customer.objects.values("email")[:1])},
    ):
        with pytest.raises(RefusedError, match="compared to values"):
            found.filter(**lookup)


ELSEWHERE: dict[str, Callable[[], Any]] = {
    "in": lambda: found.filter(name__in=Customer.objects.values("email")),
    "exact": lambda: found.filter(name=Subquery(Customer.objects.values("email")[:1])),
    "of an annotation": lambda: with_mail().annotate(low=Lower("mail")),
    "greatest": lambda: with_mail().aggregate(x=Max("mail")),
    "of another type": lambda: Order.objects.annotate(
        mail=Subquery(Customer.objects.values("email")[:1], output_field=models.CharField())
    ),
    "nested": lambda: Order.objects.annotate(
        mail=Subquery(with_mail().filter(pk=OuterRef("pk")).values("mail"))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_a_subquery_selects_is_not_compared_and_nothing_is_computed_of_it(name: str) -> None:
    """It would equal nothing, in silence. The database refuses it: only its name is selected."""
    with transaction.atomic(), pytest.raises(OperationalError, match="mfn_encrypted_fields_of_a"):
        list(ELSEWHERE[name]())
    assert {each.mail for each in with_mail()} == {ALICE}


def test_what_is_not_known_is_refused_by_the_database() -> None:
    """Its column compiles to a function that there is not, wherever it is not selected."""
    column = Customer._meta.get_field("email").get_col("shop_customer")
    sql, params = column.as_sql(found.all().query.get_compiler("default"), connection)
    with transaction.atomic(), pytest.raises(OperationalError, match="mfn_encrypted_fields_are"):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM shop_customer ORDER BY {sql}", params)


UPDATES: dict[str, Callable[[], Any]] = {
    "to another": lambda: found.update(name=F("email")),
    "from another": lambda: found.update(email=F("name")),
    "from another encrypted one": lambda: found.update(email=F("city")),
    "from itself": lambda: found.update(email=F("email")),
    "to what is computed": lambda: found.update(email=Lower(Value("X"))),
    "to a value of another field": lambda: found.update(email=Value("plaintext")),
    "to either": lambda: found.update(
        email=Case(When(name="x", then=Value("x")), default=F("email"))
    ),
    "by saving": lambda: Customer(pk=1, email=F("name")).save(),
    "by creating": lambda: found.create(email=Lower(Value("x"))),
}


@pytest.mark.parametrize("name", UPDATES)
def test_sealed_bytes_are_not_copied_and_plaintext_is_not_written(name: str) -> None:
    """What the database would have to do itself is refused."""
    before = set(found.values_list("name", "email"))
    with pytest.raises(FieldError, match="is encrypted: "), transaction.atomic():
        UPDATES[name]()
    assert set(found.values_list("name", "email")) == before


def test_bulk_operations_seal_each_value() -> None:
    """bulk_create, bulk_update, update, get_or_create, update_or_create, in_bulk, iterator."""
    made = found.bulk_create([Customer(name=f"{i}", email=f"{i}@example.com") for i in range(3)])
    for each in made:
        each.email = f"new{each.email}"
        each.note = None if each.name == "0" else "a note"
    assert found.bulk_update(made, ["email", "note"]) == 3
    assert found.get(email="new2@example.com").note == "a note"
    assert found.get(email="new0@example.com").note is None
    assert found.filter(name="1").update(email="x@example.com", note="y") == 1
    assert found.get(email="x@example.com").note == "y"
    assert found.get_or_create(email=ALICE)[1] is False
    assert found.update_or_create(email=ALICE, defaults={"note": "z"})[0].note == "z"
    assert found.in_bulk([made[0].pk])[made[0].pk].email == "new0@example.com"
    assert {each.email for each in found.iterator()} >= {ALICE, "new2@example.com"}
    assert found.filter(email=BOB).delete()[0] == 1


def test_the_class_is_that_of_the_wrapped_field_too() -> None:
    """So what goes by classes, as the admin and REST frameworks do, sees an e-mail field."""
    field = Customer._meta.get_field("email")
    assert isinstance(field, models.EmailField)
    assert field.get_internal_type() == "BinaryField"
