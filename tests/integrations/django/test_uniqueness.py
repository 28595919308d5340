"""No two rows have the same value, at each step of a rotation of the index key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from mycelium_fractal_net.security.records.keys import Verb
from tests.integrations.django.shop.models import Customer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.keyring.keyring import Keyring

pytestmark = pytest.mark.usefixtures("db")
ALICE, BOB = "alice@example.com", "bob@example.com"
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


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("write", WRITES)
def test_a_value_is_not_stored_twice(keyring: Keyring, step: str, write: str) -> None:
    """However it is written, and whichever version has tagged the row that has it."""
    Customer.objects.create(name="Alice", email=ALICE)
    bob = Customer.objects.create(name="Bob", email=BOB)
    for act in STEPS[step]:
        act(keyring)
    with pytest.raises(IntegrityError), transaction.atomic():
        WRITES[write](bob)
    assert Customer.objects.get(email=ALICE).name == "Alice"
    assert Customer.objects.get(pk=bob.pk).email == BOB


@pytest.mark.parametrize("step", STEPS)
def test_a_row_is_written_again_as_it_is(keyring: Keyring, step: str) -> None:
    """Its own value is no other's; and what is written is the new spelling, not the old."""
    Customer.objects.create(name="Alice", email=ALICE)
    for act in STEPS[step]:
        act(keyring)
    alice = Customer.objects.get(email=ALICE)
    alice.save()
    assert Customer.objects.filter(email=ALICE).update(email=ALICE) == 1
    assert Customer.objects.bulk_update([alice], ["email"]) == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT email FROM shop_customer")
        (stored,) = cursor.fetchone()
    column = Customer._meta.get_field("email").at_work()
    assert stored[:32] == column.tag(ALICE.encode())


@pytest.mark.parametrize("step", STEPS)
def test_validation_finds_it_first(keyring: Keyring, step: str) -> None:
    """Under the field's name, with Django's own text; a row is not its own duplicate."""
    made = Customer.objects.create(name="Alice", email=ALICE)
    for act in STEPS[step]:
        act(keyring)
    with pytest.raises(ValidationError) as caught:
        Customer(email=ALICE).full_clean()
    assert caught.value.message_dict == {
        "email": ["Customer with this E-mail address already exists."]
    }
    Customer.objects.get(pk=made.pk).full_clean()
    Customer(email=BOB).full_clean()


def test_any_number_of_rows_has_no_value() -> None:
    """NULL is equal to nothing; other values are kept apart from each other alone."""
    Customer.objects.bulk_create([Customer(email=f"{i}@example.com") for i in range(3)])
    assert Customer.objects.filter(phone=None).count() == 3


def test_what_conflicts_may_be_left_out(keyring: Keyring) -> None:
    """``ignore_conflicts`` goes by the constraint, while a version waits too."""
    Customer.objects.create(name="Alice", email=ALICE)
    rotate(keyring)
    sweep(keyring)
    both = [Customer(email=ALICE), Customer(email=BOB)]
    Customer.objects.bulk_create(both, ignore_conflicts=True)
    assert Customer.objects.count() == 2
    assert Customer.objects.get(email=ALICE).name == "Alice"
