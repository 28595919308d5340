"""No two rows have the same value, at each step of a rotation of the index key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from mycelium_fractal_net.integrations.application import configure
from mycelium_fractal_net.security.records.keys import Verb
from tests.integrations.django.conftest import site_keyring, undone
from tests.integrations.django.shop.models import Customer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.security.keyring.keyring import Keyring

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
WRITES: dict[str, Callable[[Customer], Any]] = {
    "create": lambda _: Customer.objects.create(email=ALICE),
    "bulk_create": lambda _: Customer.objects.bulk_create([Customer(email=ALICE)]),
    "save": lambda bob: Customer(pk=bob.pk, email=ALICE).save(force_update=True),
    "update": lambda bob: Customer.objects.filter(pk=bob.pk).update(email=ALICE),
    "bulk_update": lambda bob: Customer.objects.bulk_update(
        [Customer(pk=bob.pk, email=ALICE)], ["email"]
    ),
}


def sweep(keyring: Keyring) -> None:
    """What ``mfn rewrap`` does: the newest version's tag in front of every row's e-mail."""
    column = Customer._meta.get_field("email").at_work()
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, email FROM shop_customer")
        for key, stored in cursor.fetchall():
            tag = column.tags(column.open(stored))[0]
            cursor.execute(
                "UPDATE shop_customer SET email = %s WHERE id = %s", (tag + stored[32:], key)
            )


def rotate(keyring: Keyring) -> None:
    keyring.provider.keys.rotate("customers-index")
    keyring.refresh()


def activate(keyring: Keyring) -> None:
    keyring.provider.states.apply(Verb.ACTIVATE, "customers-index:v2")
    keyring.refresh()


def nothing(_: Keyring) -> None:
    pass


STEPS: dict[str, tuple[Callable[[Keyring], None], ...]] = {
    "before": (nothing,),
    "a version waits": (rotate,),
    "the rows are swept": (rotate, sweep),
    "it is activated": (rotate, sweep, activate),
    "it was activated too early": (rotate, activate),
    "all is swept again": (rotate, sweep, activate, sweep),
}


@pytest.fixture(scope="module", params=STEPS)
def step(
    request: pytest.FixtureRequest,
    tables: None,
    keys: Keyring,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Alice and Bob, at each step in turn."""
    with site_keyring(tmp_path_factory.mktemp("step")) as keyring, undone():
        Customer.objects.create(name="Alice", email=ALICE)
        Customer.objects.create(name="Bob", email=BOB)
        for act in STEPS[request.param]:
            act(keyring)
        yield request.param
    configure(keys)


@pytest.fixture(autouse=True)
def rows(step: str) -> Iterator[None]:
    """Those of the step, for each test anew."""
    with undone():
        yield


@pytest.mark.parametrize("write", WRITES)
def test_a_value_is_not_stored_twice(write: str) -> None:
    """However it is written, and whichever version has tagged the row that has it."""
    bob = Customer.objects.get(email=BOB)
    with pytest.raises(IntegrityError), transaction.atomic():
        WRITES[write](bob)
    assert Customer.objects.get(email=ALICE).name == "Alice"
    assert Customer.objects.get(pk=bob.pk).email == BOB


def test_a_row_is_written_again_as_it_is() -> None:
    """Its own value is no other's; and what is written is the new spelling, not the old."""
    alice = Customer.objects.get(email=ALICE)
    alice.save()
    assert Customer.objects.filter(email=ALICE).update(email=ALICE) == 1
    assert Customer.objects.bulk_update([alice], ["email"]) == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT email FROM shop_customer WHERE name = 'Alice'")
        (stored,) = cursor.fetchone()
    column = Customer._meta.get_field("email").at_work()
    assert stored[:32] == column.tag(ALICE.encode())


def test_validation_finds_it_first() -> None:
    """Under the field's name, with Django's own text; a row is not its own duplicate."""
    with pytest.raises(ValidationError) as caught:
        Customer(email=ALICE).full_clean()
    assert caught.value.message_dict == {
        "email": ["Customer with this E-mail address already exists."]
    }
    Customer.objects.get(email=ALICE).full_clean()
    Customer(email=CAROL).full_clean()


def test_what_conflicts_may_be_left_out() -> None:
    """``ignore_conflicts`` goes by the constraint, while a version waits too."""
    both = [Customer(email=ALICE), Customer(email=CAROL)]
    Customer.objects.bulk_create(both, ignore_conflicts=True)
    assert Customer.objects.count() == 3
    assert Customer.objects.get(email=ALICE).name == "Alice"
