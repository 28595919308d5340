"""`/imports` and `/keys/{key_id}/export`: keys brought along and taken along, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.audit import query
from mycelium_fractal_net.security.policy import Policy
from tests.support.algorithms import WRAPPING
from tests.support.key_transport import key_to_wrap_for
from tests.support.service import b64, credential, unb64
from tests.test_crypto_api import name, ok, problem

if TYPE_CHECKING:
    import httpx

    from tests.support.service import Running

POLICY = Policy()
KEY = bytes(range(32))
FIELDS = [
    "import_id", "key_id", "existing", "type", "use", "algorithm", "exportable", "method",
    "public_key", "created_at", "expires_at", "state",
]  # fmt: skip


def begun(client: httpx.Client, **asked: Any) -> Any:
    """An import by HPKE under a name of its own."""
    body = {"key_id": name("brought"), "method": WRAPPING, **asked}
    answer = client.post("/imports", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def finish(client: httpx.Client, pending: Any, material: bytes = KEY) -> httpx.Response:
    """Wrap a key for an import, and send it."""
    blob = POLICY.wrapping_key(pending["public_key"].encode()).wrap(material)
    return client.post(f"/imports/{pending['import_id']}/finish", json={"wrapped": b64(blob)})


def test_imports_are_listed_shown_and_cancelled(client: httpx.Client) -> None:
    """Whoever may read keys sees them; a page at a time."""
    one, two = sorted((begun(client), begun(client)), key=lambda each: str(each["import_id"]))
    for pending in (one, two):
        assert pending["state"] == "waiting"
        assert ok(client.get(f"/imports/{pending['import_id']}")) == pending
    before = f"{int(one['import_id'], 16) - 1:032x}"
    page = ok(client.get("/imports", params={"after": before, "limit": 1}))
    assert page == {"imports": [one], "next": one["import_id"]}
    listed = ok(client.get("/imports", params={"limit": 1000}))
    assert [each for each in listed["imports"] if each in (one, two)] == [one, two]
    assert listed["next"] is None
    path = f"/imports/{one['import_id']}"
    cancelled = {"import_id": one["import_id"], "state": "cancelled"}
    assert ok(client.post(f"{path}/cancel")) == cancelled
    for answer in (client.get(path), client.post(f"{path}/cancel"), finish(client, one)):
        assert answer.status_code == 404
    for wrong in ("/imports/x", "/imports?after=x", "/imports/x/cancel"):
        answer = client.post(wrong) if wrong.endswith("cancel") else client.get(wrong)
        assert answer.status_code in (404, 422)
    finish(client, two)


@pytest.mark.parametrize("method", ["rsa-aes", "hpke", "hpke-p256", "hpke-p384"])
def test_a_key_is_brought_along_and_taken_along(client: httpx.Client, method: str) -> None:
    """The same 32 bytes in and out, by each method; the key says where it comes from."""
    pending = begun(client, method=method, exportable=True)
    assert list(pending) == FIELDS
    answer = finish(client, pending)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["key_id"], made["exportable"]) == (pending["key_id"], True)
    assert [each["origin"] for each in made["versions"]] == ["imported"]
    assert ok(client.get(f"/keys/{made['key_id']}")) == made
    own = key_to_wrap_for(method)
    body = {"public_key": own.public.pem().decode()}
    for asked in (body, {**body, "method": method}):
        exported = ok(client.post(f"/keys/{made['key_id']}/export", json=asked))
        assert (exported["key_id"], exported["method"]) == (f"{made['key_id']}:v1", method)
        assert own.unwrap(unb64(exported["wrapped"])) == KEY


def test_a_version_is_brought_along_for_a_key_that_is_there(client: httpx.Client) -> None:
    """It protects from then on."""
    key_id = ok_made(client, {"key_id": name()})["key_id"]
    pending = begun(client, key_id=key_id, existing=True)
    made = finish(client, pending).json()
    assert made["primary"] == f"{key_id}:v2"
    assert [each["origin"] for each in made["versions"]] == ["generated", "imported"]


def ok_made(client: httpx.Client, body: Any) -> Any:
    """A key that was made."""
    answer = client.post("/keys", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_an_import_is_used_once(client: httpx.Client) -> None:
    """Also by what is no key: that is one problem, in which nothing of it stands."""
    pending = begun(client)
    assert finish(client, pending).status_code == 201
    problem(finish(client, pending), 404, "not-found")
    pending = begun(client)
    said = problem(finish(client, pending, b"hunter2"), 422, "invalid")
    assert said["detail"].startswith("no key of AES-256-GCM was wrapped for this import")
    assert "hunter2" not in str(said)
    problem(finish(client, pending), 404, "not-found")
    problem(client.post("/imports/x/finish", json={"wrapped": ""}), 404, "not-found")


@pytest.mark.parametrize("wrapped", ["hunter2", "A" * 21_852, 7, None])
def test_a_body_that_does_not_fit_is_refused_without_repeating_it(
    client: httpx.Client, wrapped: object
) -> None:
    """No base64, too long, no text: and the import is not used up by it."""
    pending = begun(client)
    answer = client.post(f"/imports/{pending['import_id']}/finish", json={"wrapped": wrapped})
    said = problem(answer, 422, "invalid")
    assert said["errors"][0]["pointer"] == "/wrapped"
    assert str(wrapped) not in str(said["errors"])
    assert finish(client, pending).status_code == 201


@pytest.mark.parametrize(
    "asked",
    [
        {"algorithm": "Ed25519"},
        {"type": "api"},
        {"method": "rsa"},
        {"existing": True, "type": "mac"},
        {"key_id": "A"},
        {"key_id": "a:v1"},
    ],
)
def test_an_import_that_does_not_fit_is_not_begun(client: httpx.Client, asked: Any) -> None:
    """Said before a key is made for it."""
    answer = client.post("/imports", json={"key_id": name(), "method": WRAPPING, **asked})
    problem(answer, 422, "invalid")


def test_a_name_that_is_taken_or_absent_is_said(client: httpx.Client) -> None:
    """At the beginning."""
    key_id = ok_made(client, {"key_id": name()})["key_id"]
    problem(client.post("/imports", json={"key_id": key_id}), 409, "exists")
    absent = {"key_id": name(), "existing": True}
    problem(client.post("/imports", json=absent), 404, "not-found")


def test_a_key_that_may_not_leave_does_not(client: httpx.Client) -> None:
    """It was not made exportable; a public key that is none to wrap for is refused."""
    key_id = ok_made(client, {"key_id": name()})["key_id"]
    body = {"public_key": key_to_wrap_for(WRAPPING).public.pem().decode()}
    problem(client.post(f"/keys/{key_id}/export", json=body), 400, "not-exportable")
    problem(client.post("/keys/unknown/export", json=body), 404, "not-found")
    problem(client.post("/keys/A/export", json=body), 404, "not-found")
    leaves = ok_made(client, {"key_id": name(), "exportable": True})["key_id"]
    for wrong in ({"public_key": "hunter2"}, {**body, "method": "rsa-aes"}):
        said = problem(client.post(f"/keys/{leaves}/export", json=wrong), 422, "invalid")
        assert "hunter2" not in str(said)
    client.post(f"/keys/{leaves}/suspend")
    problem(client.post(f"/keys/{leaves}/export", json=body), 409, "key-state")


def test_an_export_takes_the_scope_that_makes_keys(client: httpx.Client, service: Running) -> None:
    """Decrypting with a key is not enough to take it along."""
    key_id = ok_made(client, {"key_id": name(), "exportable": True})["key_id"]
    body = {"public_key": key_to_wrap_for(WRAPPING).public.pem().decode()}
    with service.client(credential(client, f"decrypt:{key_id}", "keys:read")) as reader:
        problem(reader.post(f"/keys/{key_id}/export", json=body), 403, "forbidden")
        problem(reader.post("/imports", json={"key_id": name()}), 403, "forbidden")
    with service.client(credential(client, "keys:admin")) as admin:
        ok(admin.post(f"/keys/{key_id}/export", json=body))


def test_what_was_done_is_recorded_with_who_did_it(client: httpx.Client, service: Running) -> None:
    """Before and after, of each of the three."""
    pending = begun(client, exportable=True)
    finish(client, pending)
    body = {"public_key": key_to_wrap_for(WRAPPING).public.pem().decode()}
    ok(client.post(f"/keys/{pending['key_id']}/export", json=body))
    found = query(service.home / "audit", key=pending["key_id"], limit=100)[::-1]
    assert [(each["event"], each["outcome"]) for each in found] == [
        (event, outcome)
        for event in ("import.begin", "key.import", "key.export")
        for outcome in ("intent", "ok")
    ]
    assert {each["actor"] for each in found} == {service.api_key.split("_")[1]}
    assert found[0]["subject"] == pending["import_id"]
    assert len({each["request"] for each in found}) == 3
