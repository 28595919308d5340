"""Lists where a record is damaged: the others are there, and it is named."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise
from tests.api.test_permissions import new
from tests.support.service import Running, start
from tests.support.signing import Peer
from tests.test_crypto_api import ok

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = {"keys": "key_id", "credentials": "credential_id", "signers": "name"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with a store of its own, and some of each kind in it."""
    home = tmp_path_factory.mktemp("damaged") / "home"
    initialise(home=home).close()
    running = start(home)
    try:
        with running.client() as client:
            for name in ("a", "b", "c"):
                new(client.post("/keys", json={"key_id": name}))
                new(client.post("/credentials", json={"name": name, "scopes": ["encrypt:*"]}))
                public_key = Peer(name).key.public.pem().decode()
                signer = {"name": name, "public_key": public_key, "any_credential": True}
                new(client.post("/signers", json=signer))
        yield running
    finally:
        running.stop()


@contextlib.contextmanager
def damaged(service: Running, table: str, victim: str, how: tuple[str, object]) -> Iterator[None]:
    """A value of that record is another one, for so long."""
    column, value = how
    with contextlib.closing(
        sqlite3.connect(service.home / "keys.db", isolation_level=None)
    ) as database:
        names = f"mfn_{table} WHERE {TABLES[table]} = ?"
        row, kept = database.execute(f"SELECT rowid, {column} FROM {names}", [victim]).fetchone()
        change = f"UPDATE mfn_{table} SET {column} = ? WHERE rowid = ?"
        database.execute(change, [value, row])
        yield
        database.execute(change, [kept, row])


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("how", [("mac", bytes(32)), ("created_at", "never")])
def test_a_damaged_record_is_named_and_the_others_are_listed(
    own: Running, table: str, how: tuple[str, object]
) -> None:
    """Of each kind, whichever way, however long the page is."""
    with own.client() as client:
        before = [each[_id(table)] for each in ok(client.get(f"/{table}"))[table]]
    victim = before[1]
    with own.client() as client, damaged(own, table, victim, how):
        answer = ok(client.get(f"/{table}"))
        assert [each[_id(table)] for each in answer[table]] == [before[0], *before[2:]]
        (warning,) = answer["warnings"]
        assert repr(victim) in warning
        assert answer["next"] is None
        found, after, warned = [], "", 0
        while after is not None:
            page = ok(client.get(f"/{table}", params={"after": after, "limit": 1}))
            found += [each[_id(table)] for each in page[table]]
            after = page["next"]
            warned += len(page.get("warnings", []))
        assert found == [before[0], *before[2:]]
        assert warned == 1


def test_a_name_that_none_can_have_does_not_end_the_list(own: Running) -> None:
    """The next page begins after one that can be asked for."""
    with own.client() as client:
        names = [each["key_id"] for each in ok(client.get("/keys"))["keys"]]
    victim = names[1]
    with own.client() as client, damaged(own, "keys", victim, ("key_id", f"{victim}!")):
        found, after = [], ""
        while after is not None:
            page = ok(client.get("/keys", params={"after": after, "limit": 1}))
            found += [each["key_id"] for each in page["keys"]]
            after = page["next"]
        assert found == [names[0], *names[2:]]


def _id(table: str) -> str:
    return {"keys": "key_id", "credentials": "id", "signers": "name"}[table]
