"""Two at one row of PostgreSQL at the same time, with commits that are true."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.db import IntegrityError, connections, transaction

from tests.integrations.django.test_postgresql import customers, sweep
from tests.integrations.django.test_uniqueness import ALICE, BOB, rotate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.security.keyring.keyring import Keyring

pytestmark = pytest.mark.long
_LONGEST_SECONDS = 20
WRITES: dict[str, Callable[[], Any]] = {
    "create": lambda: customers.create(email=ALICE),
    "update": lambda: customers.filter(name="Bob").update(email=ALICE),
}


@pytest.fixture(autouse=True)
def rows(postgresql: None, keyring: Keyring) -> Iterator[None]:
    """Alice and Bob, who are gone afterwards."""
    customers.create(name="Alice", email=ALICE)
    customers.create(name="Bob", email=BOB)
    yield
    remove("")


def remove(which: str) -> None:
    """Delete rows without a look at what belongs to them."""
    with connections["postgresql"].cursor() as cursor:
        cursor.execute(f"DELETE FROM shop_customer {which}")


class Writer(threading.Thread):
    """Writes a value on a connection of its own, and keeps what it was answered."""

    def __init__(self, write: Callable[[], Any]) -> None:
        super().__init__()
        self.write = write
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.write()
        except BaseException as error:
            self.error = error
        finally:
            connections["postgresql"].close()

    def until_it_waits(self) -> None:
        """Return once it waits for a lock that another transaction holds."""
        last = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < last and self.is_alive():
            with connections["postgresql"].cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if cursor.fetchone()[0]:
                    return
            time.sleep(0.002)
        raise AssertionError("it did not wait")


@pytest.mark.parametrize("write", WRITES)
def test_a_sweep_under_way_does_not_let_a_value_in_twice(keyring: Keyring, write: str) -> None:
    """A writer that meets the row in the middle of its move waits, and finds where it went."""
    rotate(keyring)
    with transaction.atomic("postgresql"):
        sweep()
        writer = Writer(WRITES[write])
        writer.until_it_waits()
    writer.join(_LONGEST_SECONDS)
    assert isinstance(writer.error, IntegrityError)
    assert customers.get(email=ALICE).name == "Alice"


@pytest.mark.parametrize("waiting", [False, True])
def test_of_two_writers_one_is_first(keyring: Keyring, waiting: bool) -> None:
    """All store tags of one version, while another waits too."""
    remove("WHERE name = 'Alice'")
    if waiting:
        rotate(keyring)
    with transaction.atomic("postgresql"):
        customers.create(name="first", email=ALICE)
        writer = Writer(WRITES["create"])
        writer.until_it_waits()
    writer.join(_LONGEST_SECONDS)
    assert isinstance(writer.error, IntegrityError)
    assert customers.get(email=ALICE).name == "first"
