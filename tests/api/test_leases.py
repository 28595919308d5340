"""What clients do on their own machine: keys of fields for it, and the reports of it."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from tests.support.service import b64, credential, unb64
from tests.test_crypto_api import key, name, ok, problem

if TYPE_CHECKING:
    import httpx

REPORT = "/crypto/datakey/report"


def recorded(client: httpx.Client, reference: str) -> list[Any]:
    """The newest records of reports with that reference."""
    found = ok(client.get("/audit", params={"event": "datakey.report", "limit": 1000}))
    return [each for each in found["records"] if each.get("reference") == reference]


def test_a_report_is_in_the_audit_log_by_version(client: httpx.Client) -> None:
    """Counts of one version that come apart are added up; what is none is left out."""
    key_id, reference = key(client), name("lease")
    ok(client.post(f"/keys/{key_id}/rotate"))
    uses = [
        {"key_id": f"{key_id}:v1", "encrypted": 70_000, "decrypted": 30_000, "bytes": 2**40},
        {"key_id": f"{key_id}:v2", "failed": 1},
        {"key_id": f"{key_id}:v1", "encrypted": 2},
    ]
    answer = ok(client.post(REPORT, json={"uses": uses, "reference": reference}))
    assert answer == {"operations": 100_003, "reference": reference}
    (record,) = recorded(client, reference)
    assert (record["outcome"], "key" in record) == ("ok", False)
    assert record["items"] == {
        f"{key_id}:v1": {"encrypted": 70_002, "decrypted": 30_000, "bytes": 2**40},
        f"{key_id}:v2": {"failed": 1},
    }
    assert ok(client.post(REPORT, json={"uses": uses[:1]})) == {"operations": 100_000}


def test_a_report_needs_the_scope_of_every_key_in_it(client: httpx.Client, service: Any) -> None:
    """A key that is not the caller's looks like one that is not there, and nothing counts."""
    mine, other, reference = key(client), key(client), name("lease")
    uses = [{"key_id": f"{mine}:v1", "encrypted": 1}, {"key_id": f"{other}:v1", "encrypted": 1}]
    with service.client(credential(client, f"datakey:{mine}", "encrypt:*")) as caller:
        assert ok(caller.post(REPORT, json={"uses": uses[:1]})) == {"operations": 1}
        body = {"uses": uses, "reference": reference}
        problem(caller.post(REPORT, json=body), 404, "not-found")
    (record,) = recorded(client, reference)
    assert (record["outcome"], "items" in record) == ("not-found", False)


@pytest.mark.parametrize("version", ["", ":v9", ":v0", ":vx"])
def test_a_report_names_versions_that_there_are(client: httpx.Client, version: str) -> None:
    """A bare name says nothing of which version it was."""
    asked = client.post(REPORT, json={"uses": [{"key_id": f"{key(client)}{version}"}]})
    assert asked.status_code == (404 if version == ":v9" else 422)


@pytest.mark.parametrize("count", [-1, 2**53 + 1, 1.5, "1", True])
def test_a_count_is_a_whole_number(client: httpx.Client, count: Any) -> None:
    """From none on, and as large as every reader of JSON can tell."""
    use = {"key_id": "default-encryption:v1", "encrypted": count}
    problem(client.post(REPORT, json={"uses": [use]}), 422, "invalid")


# Keys of fields -------------------------------------------------------------------------------

FIELD = b64(b"customers.email")


def test_the_keys_of_a_field_make_its_tags_and_no_others(client: httpx.Client) -> None:
    """By HMAC alone, as the page on formats says; for as long as the service would know them."""
    key_id = key(client, "index")
    ok(client.post(f"/keys/{key_id}/rotate"))
    asked = {"key_id": key_id, "context": FIELD, "reference": "row 17"}
    lent = ok(client.post("/crypto/index/fieldkeys", json=asked))
    assert [each["key_id"] for each in lent["keys"]] == [f"{key_id}:v2", f"{key_id}:v1"]
    assert (lent["key_id"], lent["algorithm"]) == (f"{key_id}:v1", "HMAC-SHA-256")
    assert (lent["reference"], 0 < lent["seconds"] <= 5) == ("row 17", True)
    tags = ok(client.post("/crypto/index", json={**asked, "data": b64(b"alice")}))["tags"]
    for own, tag in zip(lent["keys"], tags, strict=True):
        assert hmac.digest(unb64(own["key"]), b"alice", "sha256") == unb64(tag["tag"])
    other = {**asked, "context": b64(b"customers.name")}
    again = ok(client.post("/crypto/index/fieldkeys", json=other))
    assert not {each["key"] for each in lent["keys"]} & {each["key"] for each in again["keys"]}


def test_the_keys_of_a_deterministic_field_make_its_messages(client: httpx.Client) -> None:
    """By AES-SIV alone; each with what its messages begin with."""
    key_id = key(client, "deterministic")
    asked = {"key_id": key_id, "associated_data": FIELD}
    lent = ok(client.post("/crypto/deterministic/fieldkeys", json=asked))
    (own,) = lent["keys"]
    assert (own["opens"], own["key_id"], lent["key_id"]) == (True, f"{key_id}:v1", f"{key_id}:v1")
    made = AESSIV(unb64(own["key"])).encrypt(b"FI", [b"customers.email"])
    body = {"data": b64(b"FI"), "format": "deterministic", **asked}
    message = unb64(ok(client.post("/crypto/encrypt", json=body))["ciphertext"])
    assert unb64(own["header"]) + made == message


def test_keys_of_fields_are_refused_where_a_search_is(client: httpx.Client) -> None:
    """A version that is compromised, another type, a key that is not there, what is no field."""
    index, same = key(client, "index"), key(client, "deterministic")
    for path, own, other in (
        ("/crypto/index/fieldkeys", index, same),
        ("/crypto/deterministic/fieldkeys", same, index),
    ):
        more = {"context": FIELD} if own == index else {}
        problem(client.post(path, json={"key_id": other, **more}), 400, "key-usage")
        problem(client.post(path, json={"key_id": "absent", **more}), 404, "not-found")
        problem(client.post(path, json={"key_id": "No Key", **more}), 422, "invalid")
        ok(client.post(f"/keys/{own}/compromise"))
        problem(client.post(path, json={"key_id": own, **more}), 409, "key-state")
    asked = {"key_id": index, "context": ""}
    problem(client.post("/crypto/index/fieldkeys", json=asked), 422, "invalid")


def test_what_was_made_under_a_field_is_reported_by_its_scope(
    client: httpx.Client, service: Any
) -> None:
    """And of a data key by the other; neither serves for both."""
    index, sealing = key(client, "index"), key(client)
    uses = [[{"key_id": f"{each}:v1", "encrypted": 1}] for each in (index, sealing)]
    for scope, own, other in (("fieldkey", *uses), ("datakey", *uses[::-1])):
        with service.client(credential(client, f"{scope}:*")) as caller:
            assert ok(caller.post(REPORT, json={"uses": own})) == {"operations": 1}
            problem(caller.post(REPORT, json={"uses": other}), 404, "not-found")
