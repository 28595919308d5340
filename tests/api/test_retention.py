"""`/keys/{id}/usage` and `/keys/{id}/cleanup`, and uses of what waits for its destruction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.errors import InvalidInputError, KeyStateError
from mycelium_fractal_net.security.records.keys import KeyState
from tests.api.test_service_health import metrics
from tests.support.service import credential, unb64
from tests.test_crypto_api import HELLO, key, ok, problem

if TYPE_CHECKING:
    import httpx

    from mycelium_fractal_net.client import Client
    from tests.support.service import Running

PENDING_USES = "mfn_pending_destruction_uses_total"


def versions(client: httpx.Client, count: int, **more: Any) -> str:
    """A new key with so many versions."""
    key_id = key(client, **more)
    for _ in range(count - 1):
        ok(client.post(f"/keys/{key_id}/rotate"))
    return key_id


def usage(client: httpx.Client, key_id: str) -> list[dict[str, Any]]:
    """What is known of each version."""
    shown = ok(client.get(f"/keys/{key_id}/usage"))
    assert shown["key_id"] == key_id
    found: list[dict[str, Any]] = shown["versions"]
    return found


def today() -> str:
    return datetime.now(UTC).date().isoformat()


# Usage ------------------------------------------------------------------------------------------


def test_usage_says_which_versions_still_open_data_and_when_they_did(client: httpx.Client) -> None:
    """By version, oldest first; the last minute is there, too."""
    key_id = key(client)
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    ok(client.post(f"/keys/{key_id}/rotate"))
    for _ in range(3):
        ok(client.post("/crypto/decrypt", json={"ciphertext": sealed["ciphertext"]}))
    ok(client.post("/crypto/datakey", json={"key_id": key_id}))
    old, new = usage(client, key_id)
    assert (old["version_id"], old["state"], old["decrypts"]) == (f"{key_id}:v1", "active", True)
    assert (old["decrypted"], old["last_decrypted"], old["protected"]) == (3, today(), 1)
    assert (old["leased_until"], old["refused"], old["last_refused"]) == (None, 0, None)
    assert (new["decrypted"], new["last_decrypted"], new["protected"]) == (0, None, 1)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    assert new["leased_until"] == tomorrow
    assert ok(client.get(f"/keys/{key_id}:v1/usage"))["key_id"] == key_id


def test_a_report_of_a_lease_counts_as_uses(client: httpx.Client) -> None:
    """They happened where nobody else counts; a count beyond belief is cut."""
    key_id = versions(client, 2)
    uses = [
        {"key_id": f"{key_id}:v1", "encrypted": 5, "decrypted": 2, "failed": 1, "bytes": 9},
        {"key_id": f"{key_id}:v2", "decrypted": 2**53},
    ]
    for _ in range(2):
        ok(client.post("/crypto/datakey/report", json={"uses": uses}))
    old, new = usage(client, key_id)
    assert (old["protected"], old["decrypted"], old["last_decrypted"]) == (10, 6, today())
    assert (new["protected"], new["decrypted"]) == (0, 2**33)


def test_usage_needs_the_scope_keys_read(client: httpx.Client, service: Running) -> None:
    """And is not there for a key that is not."""
    key_id = key(client)
    with service.client(credential(client, "keys:read")) as reader:
        assert len(usage(reader, key_id)) == 1
        problem(reader.get("/keys/none/usage"), 404, "not-found")
        problem(reader.get("/keys/No!/usage"), 404, "not-found")
        problem(reader.post(f"/keys/{key_id}/cleanup"), 403, "forbidden")
    with service.client(credential(client, "encrypt:*")) as other:
        problem(other.get(f"/keys/{key_id}/usage"), 403, "forbidden")


# Cleanup ----------------------------------------------------------------------------------------


def test_without_a_reason_old_versions_are_listed_and_stay(client: httpx.Client) -> None:
    """As many as the policy says are none of them; a body is not needed."""
    key_id = versions(client, 5)
    shown = ok(client.post(f"/keys/{key_id}/cleanup"))
    assert (shown["key_id"], shown["retain_count"], shown["moved"]) == (key_id, 3, [])
    assert shown["destroy_at"] is None
    assert [each["version_id"] for each in shown["proposals"]] == [f"{key_id}:v1", f"{key_id}:v2"]
    assert {each["reason"] for each in shown["proposals"]} == {None}
    assert "give a reason" in shown["proposals"][0]["why"]
    asked = ok(client.post(f"/keys/{key_id}/cleanup", json={"retain_count": 4}))
    assert len(asked["proposals"]) == 1
    assert {each["state"] for each in usage(client, key_id)} == {"active"}


def test_with_a_reason_they_are_pending_and_the_audit_log_says_why(client: httpx.Client) -> None:
    """Each that is moved has a record of its own, with the reason and who gave it."""
    key_id = versions(client, 5)
    asked = {"reason": "the archive was deleted", "window_days": 7}
    shown = ok(client.post(f"/keys/{key_id}/cleanup", json=asked))
    assert shown["moved"] == [f"{key_id}:v1", f"{key_id}:v2"]
    ends = datetime.fromisoformat(shown["destroy_at"])
    assert timedelta(days=6) < ends - datetime.now(UTC) <= timedelta(days=7)
    states = [each["state"] for each in usage(client, key_id)]
    assert states == ["pending-destruction"] * 2 + ["active"] * 3
    for version in shown["moved"]:
        query = {"key": version, "event": "key.destroy"}
        records = ok(client.get("/audit", params=query))["records"]
        intents = [each for each in records if each["outcome"] == "intent"]
        assert [each["reason"] for each in intents] == ["the archive was deleted"]
        assert intents[0]["actor"] == ok(client.get("/credentials/self"))["id"]


def test_the_reason_for_which_a_version_is_destroyed_is_kept(client: httpx.Client) -> None:
    """By the verb of the version, too."""
    key_id = versions(client, 2)
    body = {"reason": "leaked in a test", "window_days": 8}
    ok(client.post(f"/keys/{key_id}:v1/destroy", json=body))
    records = ok(client.get("/audit", params={"key": f"{key_id}:v1", "event": "key.destroy"}))
    assert "leaked in a test" in [each.get("reason") for each in records["records"]]


def test_only_the_versions_that_are_named_are_moved(client: httpx.Client) -> None:
    """Of those that are proposed; of another nothing is."""
    key_id = versions(client, 5)
    path = f"/keys/{key_id}/cleanup"
    other = client.post(path, json={"reason": "old", "versions": [f"{key_id}:v4"]})
    problem(other, 422, "invalid")
    shown = ok(client.post(path, json={"reason": "old", "versions": [f"{key_id}:v2"]}))
    assert shown["moved"] == [f"{key_id}:v2"]


@pytest.mark.parametrize("body", [
    {"retain_count": 0}, {"retain_count": -1}, {"reason": ""}, {"reason": "  "},
    {"reason": "a\nb"}, {"reason": "x" * 201}, {"window_days": 6, "reason": "x"},
    {"versions": []}, {"force": True},
], ids=str)  # fmt: skip
def test_what_a_cleanup_may_not_be_is_refused(client: httpx.Client, body: Any) -> None:
    """Nothing is moved by it."""
    key_id = versions(client, 2)
    problem(client.post(f"/keys/{key_id}/cleanup", json=body), 422, "invalid")
    assert {each["state"] for each in usage(client, key_id)} == {"active"}


def test_a_cleanup_is_of_a_key_and_not_of_a_version(client: httpx.Client) -> None:
    """A version has no old ones."""
    problem(client.post(f"/keys/{key(client)}:v1/cleanup"), 404, "not-found")


# Uses in the window -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["sealed", "raw", "batch", "stream"])
def test_a_use_in_the_window_is_refused_counted_and_alarmed(
    client: httpx.Client, form: str
) -> None:
    """The answer says how to keep the version; usage, metrics and audit log know of it."""
    key_id = key(client)
    asked = {"data": HELLO, "key_id": key_id, "format": "raw" if form == "raw" else "sealed"}
    sealed = ok(client.post("/crypto/encrypt", json=asked))
    ok(client.post(f"/keys/{key_id}/rotate"))
    ok(client.post(f"/keys/{key_id}:v1/destroy"))
    before = metrics(client).get(PENDING_USES, 0)
    if form == "batch":
        batch = {"items": [{"ciphertext": sealed["ciphertext"]}]}
        (item,) = ok(client.post("/crypto/decrypt/batch", json=batch))["items"]
        assert item["error"]["type"] == "/problems/key-state"
    elif form == "stream":
        problem(
            client.post(
                "/crypto/decrypt/stream",
                content=unb64(sealed["ciphertext"]),
                headers={"Content-Type": "application/octet-stream"},
            ),
            409,
            "key-state",
        )
    else:
        body = {"ciphertext": sealed["ciphertext"], "format": asked["format"]}
        if form == "raw":
            body["key_id"] = key_id
        refused = problem(client.post("/crypto/decrypt", json=body), 409, "key-state")
        assert f"mfn key cancel-destruction {key_id}:v1" in refused["detail"]
    old = usage(client, key_id)[0]
    assert (old["refused"], old["last_refused"], old["decrypted"]) == (1, today(), 0)
    assert metrics(client)[PENDING_USES] >= before + 1
    query = {"key": f"{key_id}:v1", "event": "key.pending-use"}
    (alarm,) = ok(client.get("/audit", params=query))["records"]
    assert alarm["actor"] == ok(client.get("/credentials/self"))["id"]
    ok(client.post(f"/keys/{key_id}:v1/cancel-destruction"))
    assert usage(client, key_id)[0]["last_kept"] == today()
    if form == "sealed":
        ok(client.post("/crypto/decrypt", json={"ciphertext": sealed["ciphertext"]}))


# The client -------------------------------------------------------------------------------------


def test_the_client_has_both(remote: Client, client: httpx.Client) -> None:
    """As the library's records."""
    key_id = versions(client, 3)
    sealed = remote.encrypt(b"x", key_id=key_id)
    remote.decrypt(sealed)
    uses = remote.key_usage(key_id)
    assert [(each.version, each.decrypted, each.decrypts) for each in uses] == [
        (1, 0, True), (2, 0, True), (3, 1, True),
    ]  # fmt: skip
    assert uses[2].last_decrypted == datetime.now(UTC).date()
    listed = remote.cleanup_key(key_id, 1)
    assert [each.version_id for each in listed.proposals] == [f"{key_id}:v1", f"{key_id}:v2"]
    assert (listed.moved, listed.destroy_at, listed.proposals[0].may_go) == ((), None, False)
    done = remote.cleanup_key(
        key_id, 1, versions=[f"{key_id}:v1"], reason="never used", window_days=7
    )
    assert done.moved == (f"{key_id}:v1",)
    assert remote.show_key(key_id).version(1).state is KeyState.PENDING_DESTRUCTION
    with pytest.raises(InvalidInputError):
        remote.cleanup_key(key_id, 1, versions=[f"{key_id}:v3"], reason="no")
    with pytest.raises(KeyStateError):
        remote.change_key_state(f"{key_id}:v1", "suspend")
    gone = remote.change_key_state(f"{key_id}:v2", "destroy", reason="never used either")
    assert gone.version(2).state is KeyState.PENDING_DESTRUCTION
