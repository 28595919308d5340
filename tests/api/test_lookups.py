"""Blind indexes and deterministic messages over HTTP and by the client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from mycelium_fractal_net.client import AsyncClient, BatchLimits, Client
from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    KeyUsageError,
    ServiceError,
)
from tests.support.client import answering
from tests.support.service import b64, credential, unb64
from tests.test_crypto_api import HELLO, key, ok, problem

if TYPE_CHECKING:
    from tests.support.service import Running

FIELD = b64(b"customers.email")


def test_a_tag_to_store_and_the_tags_to_search_for(client: httpx.Client) -> None:
    """While a new version is swept in both are searched, and the former one is stored."""
    key_id = key(client, "index")
    asked = {"data": HELLO, "key_id": key_id, "context": FIELD}
    made = ok(client.post("/crypto/index", json=asked))
    assert made == {
        "tag": made["tag"],
        "key_id": f"{key_id}:v1",
        "tags": [{"tag": made["tag"], "key_id": f"{key_id}:v1"}],
        "algorithm": "HMAC-SHA-256",
    }
    assert client.post(f"/keys/{key_id}/rotate").status_code == 200
    both = ok(client.post("/crypto/index", json={**asked, "reference": "row 17"}))
    assert (both["tag"], both["reference"]) == (made["tag"], "row 17")
    assert [each["key_id"] for each in both["tags"]] == [f"{key_id}:v2", f"{key_id}:v1"]
    assert both["tags"][1]["tag"] == made["tag"] != both["tags"][0]["tag"]


def test_a_key_out_of_use_answers_searches_alone(client: httpx.Client) -> None:
    """Nothing is stored under it, and what is there is found with the word for it."""
    key_id = key(client, "index")
    asked = {"data": HELLO, "key_id": key_id, "context": FIELD}
    tags = ok(client.post("/crypto/index", json=asked))["tags"]
    assert client.post(f"/keys/{key_id}/compromise").status_code == 200
    problem(client.post("/crypto/index", json=asked), 409, "key-state")
    problem(client.post("/crypto/index", json={**asked, "search_only": True}), 409, "key-state")
    searched = {**asked, "search_only": True, "allow_compromised": True}
    assert ok(client.post("/crypto/index", json=searched)) == {
        "tags": tags,
        "algorithm": "HMAC-SHA-256",
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"bits": 3},
        {"bits": 257},
        {"bits": True},
        {"normalisation": "lower"},
        {"context": ""},
        {"context": "%"},
        {"data": "%"},
        {"data": "/w==", "normalisation": "nfc"},
        {"key_id": "No Key"},
        {"more": 1},
    ],
)
def test_what_is_no_field_and_no_value_is_422(
    client: httpx.Client, wrong: dict[str, object]
) -> None:
    """And none of it is shown in the answer."""
    asked = {"data": HELLO, "key_id": key(client, "index"), "context": FIELD, **wrong}
    assert client.post("/crypto/index", json=asked).status_code == 422


def test_a_scope_of_its_own(service: Running, client: httpx.Client) -> None:
    """It makes tags and nothing else; compromised versions need theirs beside it."""
    key_id = key(client, "index")
    asked = {"data": HELLO, "key_id": key_id, "context": FIELD}
    with service.client(credential(client, f"index:{key_id}")) as allowed:
        ok(allowed.post("/crypto/index", json=asked))
        problem(allowed.post("/crypto/encrypt", json={"data": HELLO}), 404, "not-found")
        compromised = {**asked, "allow_compromised": True}
        problem(allowed.post("/crypto/index", json=compromised), 403, "forbidden")
    with service.client(credential(client, f"mac:{key_id}", "index:other")) as other:
        problem(other.post("/crypto/index", json=asked), 404, "not-found")


def test_equal_data_is_one_message_that_opens_and_rewraps(client: httpx.Client) -> None:
    """Its answer may be sent on as it is, like every other."""
    key_id = key(client, "deterministic")
    asked = {"data": HELLO, "key_id": key_id, "format": "deterministic"}
    made = ok(client.post("/crypto/encrypt", json=asked))
    assert ok(client.post("/crypto/encrypt", json=asked)) == made
    assert (made["algorithm"], unb64(made["ciphertext"])[:4]) == ("AES-256-SIV", b"MFN\x03")
    for path in ("decrypt", "rewrap"):
        assert client.post(f"/crypto/{path}", json=made).status_code == 200
    assert client.post(f"/keys/{key_id}/rotate").status_code == 200
    moved = ok(client.post("/crypto/rewrap", json={"ciphertext": made["ciphertext"]}))
    assert (moved["key_id"], moved["algorithm"]) == (f"{key_id}:v2", "AES-256-SIV")
    assert ok(client.post("/crypto/decrypt", json=moved))["data"] == HELLO
    named = {"data": HELLO, "format": "deterministic"}
    problem(client.post("/crypto/encrypt", json=named), 400, "key-usage")


def test_both_clients_make_tags_and_messages(service: Running, client: httpx.Client) -> None:
    """The same as the service, with text and bytes alike."""
    index, same = key(client, "index"), key(client, "deterministic")
    with Client(service.url, service.api_key) as remote:
        tag = remote.index_tag("Zo\u00eb", key_id=index, context=b"f", normalisation="caseless")
        assert (len(tag), tag.key_id) == (32, f"{index}:v1")
        assert [tag] == remote.index_tags(
            "ZOE\u0308".encode(), key_id=index, context=b"f", normalisation="caseless"
        )
        assert len(remote.index_tag(b"x", key_id=index, context=b"f", bits=9)) == 2
        message = remote.encrypt(b"x", key_id=same, format="deterministic")
        assert remote.decrypt(message, format="deterministic") == b"x"
        with pytest.raises(KeyUsageError):
            remote.index_tag(b"x", key_id=same, context=b"f")
        with pytest.raises(InvalidInputError):
            remote.index_tag("\ud800", key_id=index, context=b"f")

    async def awaited() -> list[bytes]:
        async with AsyncClient(service.url, service.api_key) as remote:
            return [*await remote.index_tags("x", key_id=index, context=b"f")]

    assert len(asyncio.run(awaited())) == 1


def test_an_answer_without_the_tag_is_no_answer() -> None:
    """Nothing is stored in its place."""
    remote, _ = answering(httpx.Response(200, json={"tags": []}))
    with remote, pytest.raises(ServiceError):
        remote.index_tag(b"x", key_id="k", context=b"f")


def test_many_values_are_one_request(client: httpx.Client) -> None:
    """Of one field or of several; one that fails fails no other, and there is one record."""
    key_id, reference = key(client, "index"), "batch 1"
    item = {"data": HELLO, "key_id": key_id, "context": FIELD}
    one = ok(client.post("/crypto/index", json=item))
    items = [
        item,
        {**item, "data": "%"},
        {**item, "search_only": True, "reference": reference},
        {**item, "key_id": "absent"},
        {**item, "context": b64(b"customers.name"), "bits": 8},
    ]
    found = ok(client.post("/crypto/index/batch", json={"items": items}))["items"]
    assert found[0] == one
    assert found[2] == {**{k: one[k] for k in ("tags", "algorithm")}, "reference": reference}
    assert [each["error"]["status"] for each in (found[1], found[3])] == [422, 404]
    assert len(unb64(found[4]["tag"])) == 1
    (record, *_) = ok(client.get("/audit", params={"event": "index.batch"}))["records"]
    assert record["items"] == {
        f"{key_id}:v1": {"ok": 2},
        key_id: {"ok": 1, "invalid": 1},
        "absent": {"not-found": 1},
    }


def test_a_batch_has_its_bounds(client: httpx.Client) -> None:
    """As every other has."""
    item = {"data": HELLO, "key_id": key(client, "index"), "context": FIELD}
    for items in ([], [item] * 1001):
        problem(client.post("/crypto/index/batch", json={"items": items}), 422, "invalid")


def test_the_client_makes_tags_of_many_values(service: Running, client: httpx.Client) -> None:
    """Those that it makes of one, in their order, in as many requests as it takes."""
    key_id = key(client, "index")
    field = {"key_id": key_id, "context": b"customers.email"}
    values: list[bytes | str] = ["alice", b"bob", "a" * 100, "alice"]
    limits = BatchLimits(items=3)
    with Client(service.url, service.api_key, batch_limits=limits) as remote:
        made = remote.index_tag_batch(values, **field)  # type: ignore[arg-type]
        assert made == [remote.index_tag(each, **field) for each in values]  # type: ignore[arg-type]
        searched = remote.index_tags_batch(values, **field)  # type: ignore[arg-type]
        assert searched == [[each] for each in made]
        wrong = remote.index_tag_batch(
            ["alice", b"\xff"], key_id=key_id, context=b"f", normalisation="nfc"
        )
        assert isinstance(wrong[1], InvalidInputError)
        assert isinstance(wrong[0], bytes)
    remote, _ = answering(httpx.Response(200, json={"items": [{"key_id": "a:v1"}]}))
    for ask in (remote.index_tag_batch, remote.index_tags_batch):
        with pytest.raises(ServiceError):
            ask(["x"], key_id="a", context=b"f")
