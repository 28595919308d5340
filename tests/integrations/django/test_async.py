"""The asynchronous methods of Django's models and queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError

from mycelium_fractal_net.integrations.django import RefusedError
from tests.integrations.django.shop.models import Customer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

pytestmark = pytest.mark.usefixtures("db")
ALICE, BOB, CARL = "alice@example.com", "bob@example.com", "carl@example.com"
found = Customer.objects


def awaited(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Run it to its end, with the connection of this thread."""

    def run() -> None:
        async_to_sync(test)()

    run.__doc__ = test.__doc__
    return run


@awaited
async def test_what_is_written_is_found() -> None:
    """Each way to write seals, and each way to search finds."""
    alice = await found.acreate(name="Alice", email=ALICE, phone="+43 1 234")
    await found.abulk_create([Customer(name="Bob", email=BOB), Customer(name="Carl", email=CARL)])
    assert (await found.aget(email=ALICE)).phone == "+43 1 234"
    first = await found.filter(email__in=[BOB, CARL]).order_by("name").afirst()
    assert first is not None
    assert first.name == "Bob"
    assert await found.filter(email=BOB).aexists()
    assert await found.filter(phone=None).acount() == 2
    assert [each.email async for each in found.order_by("name")] == [ALICE, BOB, CARL]
    assert [each async for each in found.order_by("name").values_list("email", flat=True)] == [
        ALICE, BOB, CARL,
    ]  # fmt: skip
    assert {each.email async for each in found.aiterator(chunk_size=1)} == {ALICE, BOB, CARL}
    assert (await found.ain_bulk([alice.pk]))[alice.pk].email == ALICE

    one, made = await found.aget_or_create(email=ALICE, defaults={"name": "Eve"})
    assert (one.name, made) == ("Alice", False)
    one, made = await found.aupdate_or_create(email=BOB, defaults={"phone": "+43 1 999"})
    assert (one.name, one.phone, made) == ("Bob", "+43 1 999", False)
    one, made = await found.aupdate_or_create(email="dora@example.com", defaults={"name": "Dora"})
    assert made

    alice.phone = "+43 1 555"
    await alice.asave(update_fields=["phone"])
    await alice.arefresh_from_db(fields=["phone"])
    assert (await found.aget(phone="+43 1 555")).pk == alice.pk
    await found.filter(email=CARL).aupdate(email="karl@example.com")
    one = await found.aget(email="karl@example.com")
    one.name = "Karl"
    await found.abulk_update([one], ["name", "email"])
    await one.adelete()
    assert await found.acount() == 3


@awaited
async def test_what_is_not_answered_or_not_unique_is_refused() -> None:
    """As where nothing is awaited: what only plaintext could answer, and a value that is there."""
    await found.acreate(name="Alice", email=ALICE)
    with pytest.raises(RefusedError):
        await found.order_by("email").afirst()
    with pytest.raises(RefusedError):
        await found.aget(email__contains="alice")
    with pytest.raises(RefusedError):
        [each async for each in found.values("email").distinct()]
    with pytest.raises(IntegrityError):
        await found.acreate(name="Eve", email=ALICE)
