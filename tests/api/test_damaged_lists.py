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
    from pathlib import Path

TABLES = {"keys": "key_id", "credentials": "credential_id", "signers": "name"}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Running]:
    """A service with a store of its own, and some of each kind in it."""
    initialise(home=tmp_path / "home").close()
    running = start(tmp_path / "home")
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


def damage(service: Running, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(service.home / "keys.db")) as database:
        database.executescript(statement)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("how", ["mac = zeroblob(32)", "created_at = 'never'"])
def test_a_damaged_record_is_named_and_the_others_are_listed(
    own: Running, table: str, how: str
) -> None:
    """Of each kind, whichever way, however long the page is."""
    column = TABLES[table]
    with own.client() as client:
        before = [each[_id(table)] for each in ok(client.get(f"/{table}"))[table]]
        victim = before[1]
        damage(own, f"UPDATE mfn_{table} SET {how} WHERE {column} = '{victim}'")
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
        damage(
            own,
            "PRAGMA foreign_keys = off;"
            f"UPDATE mfn_keys SET key_id = '{victim}!' WHERE key_id = '{victim}'",
        )
        found, after = [], ""
        while after is not None:
            page = ok(client.get("/keys", params={"after": after, "limit": 1}))
            found += [each["key_id"] for each in page["keys"]]
            after = page["next"]
        assert found == [names[0], *names[2:]]


def _id(table: str) -> str:
    return {"keys": "key_id", "credentials": "id", "signers": "name"}[table]
