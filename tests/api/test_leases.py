"""`/crypto/datakey/report`: what was done with data keys elsewhere, in the audit record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.service import credential
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
