"""Many who store the same few values, while the key of their index is rotated beneath them."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from mycelium_fractal_net import Verb
from mycelium_fractal_net.columns import EncryptedField, MessageColumn, rewrap_column
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.integrations.customers import TABLE

pytestmark = pytest.mark.long
WRITERS = 3
MORE = 40  # statements between two steps
EMAILS = [f"{number}@example.com" for number in range(8)]
FIELD = EncryptedField("customers", "email", "customers-index", normalisation="caseless")


class Writers:
    """Who insert, change and delete customers until they are told to end."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.did: Counter[str] = Counter()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(WRITERS)]

    def __enter__(self) -> Writers:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for each in self._threads:
            each.join()

    def wait_for(self, more: int) -> None:
        """Until so many more statements have ended, one way or another."""
        wanted = self.did.total() + more
        until = time.monotonic() + 30
        while self.did.total() < wanted and time.monotonic() < until:
            time.sleep(0.005)

    def _work(self, number: int) -> None:
        chosen = random.Random(number)
        while not self._ended.wait(0.002):
            made: Any = chosen.choice(
                [
                    insert(TABLE).values(email=chosen.choice(EMAILS)),
                    update(TABLE)
                    .where(TABLE.c.email == chosen.choice(EMAILS))
                    .values(email=chosen.choice(EMAILS)),
                    delete(TABLE).where(TABLE.c.email == chosen.choice(EMAILS)),
                ]
            )
            try:
                with self.engine.begin() as connection:
                    if chosen.random() < 0.5:  # what it sees under REPEATABLE READ
                        connection.execute(select(TABLE.c.id).limit(1)).all()
                        self._ended.wait(0.01)
                    connection.execute(made)
                self.did["wrote"] += 1
            except IntegrityError as error:
                self.did["looked" if "is there already" in str(error) else "refused"] += 1
            except OperationalError:  # a deadlock, of which the database ends one
                self.did["deadlock"] += 1


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("mariadb", "REPEATABLE READ"),
        ("mariadb", "READ COMMITTED"),
        ("postgres", "READ COMMITTED"),
    ],
)
def test_no_value_is_there_twice_however_many_write_it(
    request: pytest.FixtureRequest, own_keys: Keyring, kind: str, level: str
) -> None:
    """Through two rotations of the index key, each with its two sweeps."""
    there: Engine = request.getfixturevalue("postgresql" if kind == "postgres" else "on_mariadb")
    engine = create_engine(there.url, isolation_level=level, pool_size=WRITERS + 1)
    url = engine.url.render_as_string(hide_password=False)

    def sweep() -> None:
        column = MessageColumn(url, "customers", "email", field=FIELD)
        rewrap_column(own_keys, column, workers=1)
        with engine.connect() as connection:
            rows = connection.scalars(select(TABLE.c.email)).all()
        assert len(rows) == len(set(rows))

    with Writers(engine) as writers:
        for version in (2, 3):
            own_keys.provider.keys.rotate("customers-index")
            own_keys.refresh()
            writers.wait_for(MORE)
            sweep()
            writers.wait_for(MORE)
            own_keys.provider.states.apply(Verb.ACTIVATE, f"customers-index:v{version}")
            own_keys.refresh()
            writers.wait_for(MORE)
            sweep()
    engine.dispose()
    assert writers.did["wrote"] > 20
    assert writers.did["refused"] > 5
    assert writers.did["looked"] > 0
