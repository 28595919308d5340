"""API keys over HTTP: who is let in, who may grant what, rotation, revocation, expiry."""

from __future__ import annotations

import dataclasses
import http.client
import json
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.security.records.credentials import CredentialState
from tests.api.test_openapi import FOR_ANYBODY, OPERATIONS
from tests.support.service import Running, credential, start
from tests.test_crypto_api import HELLO, key, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from mycelium_fractal_net.security.records.credentials import Credential

FRESH_SECONDS = 5.0  # DESIGN: a change reaches every process within


def made(client: httpx.Client, *scopes: str, **more: Any) -> Any:
    """A new credential with its API key."""
    answer = client.post("/credentials", json={"name": "n", "scopes": list(scopes), **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def change(service: Running, credential_id: str, **values: Any) -> None:
    """Give a record other values, as time would; the service has them within its time."""

    def changed(found: Credential) -> Credential:
        return dataclasses.replace(found, **values)

    with open_keyring(home=service.home) as keyring:
        keyring.provider.credentials.update(credential_id, changed)


def until(client: httpx.Client, api_key: str, status: int) -> httpx.Response:
    """The first answer of that status to that key. A test fails where it takes too long."""
    deadline = time.monotonic() + FRESH_SECONDS
    while True:
        answer = client.get("/credentials/self", headers={"X-API-Key": api_key})
        if answer.status_code == status:
            return answer
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


# Who is let in --------------------------------------------------------------------------------


def test_every_key_that_is_not_accepted_gets_one_answer(
    client: httpx.Client, service: Running
) -> None:
    """Unknown, malformed, of a wrong secret, revoked, expired, none at all: but for its id."""
    good, ended = made(client, "*"), made(client, "*")
    ok(client.post(f"/credentials/{ended['id']}/revoke"))
    expired = made(client, "*", expires_days=1)
    change(service, expired["id"], expires_at=datetime.now(UTC) - timedelta(seconds=1))
    until(client, expired["api_key"], 401)
    secret = good["api_key"].split("_", 2)[2]
    wrong = [
        "",
        "x",
        "mfn_",
        "Bearer " + good["api_key"],
        good["api_key"][:-1],
        good["api_key"] + "A",
        good["api_key"].upper(),
        f"mfn_{good['id']}_{secrets.token_urlsafe(32)}",
        f"mfn_{secrets.token_hex(8)}_{secret}",
        f"mfn_{ended['id']}_{secret}",
        ended["api_key"],
        expired["api_key"],
        "\xff" * 64,
        "mfn_" + "a" * 4_000,
    ]
    answers = []
    for each in wrong:
        headers = {"X-API-Key": each.encode("latin-1")}
        answer = client.get("/credentials/self", headers=headers)
        body = answer.json()
        shown = dict(answer.headers)
        assert body.pop("request_id") == shown.pop("x-request-id")
        shown.pop("date")
        answers.append((answer.status_code, body, shown))
    assert answers[0][0] == 401
    assert answers[0][2]["www-authenticate"].startswith("ApiKey")
    assert all(each == answers[0] for each in answers)
    assert until(client, good["api_key"], 200)


@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_but_three_routes_answers_without_a_credential(
    client: httpx.Client, name: str
) -> None:
    """Whatever else is wrong with the request, the answer is that of a missing key."""
    method, path = name.split(" ")
    path = path.replace("{key_id}", "default-encryption").replace("{credential_id}", "self")
    for api_key in ("", f"mfn_{'a' * 16}_{'A' * 43}"):
        headers = {"X-API-Key": api_key}
        for content in (None, b"{", b'{"data": "aGVsbG8="}'):
            answer = client.request(method, path, content=content, headers=headers)
            if name in FOR_ANYBODY:
                assert answer.status_code in (200, 413)
            else:
                problem(answer, 401, "unauthenticated")


def test_two_api_keys_are_one_too_many(service: Running) -> None:
    """Which of them counts is not to be guessed."""
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"))
    connection.putrequest("GET", "/credentials/self")
    for _ in range(2):
        connection.putheader("X-API-Key", service.api_key)
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["type"]) == (400, "/problems/bad-request")
    connection.close()


# Who may grant what ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "granted", "status"),
    [
        (("credentials:admin", "encrypt:orders"), ("encrypt:orders",), 201),
        (("credentials:admin", "encrypt:*"), ("encrypt:orders", "encrypt:*"), 201),
        (("credentials:admin",), ("credentials:admin",), 201),
        (("*",), ("*", "encrypt:*", "keys:admin"), 201),
        (("credentials:admin",), ("encrypt:orders",), 403),
        (("credentials:admin", "encrypt:orders"), ("encrypt:*",), 403),
        (("credentials:admin", "encrypt:orders"), ("encrypt:orders-2",), 403),
        (("credentials:admin", "encrypt:*"), ("decrypt:orders",), 403),
        (("credentials:admin", "encrypt:*"), ("*",), 403),
        (("credentials:admin", "keys:read"), ("keys:admin",), 403),
        (("credentials:admin", "encrypt:*"), ("encrypt:orders", "audit:read"), 403),
        (("encrypt:orders",), ("encrypt:orders",), 403),
    ],
)
def test_nobody_grants_a_scope_that_he_lacks(
    client: httpx.Client, held: tuple[str, ...], granted: tuple[str, ...], status: int
) -> None:
    """`encrypt:*` covers `encrypt:orders`, `*` covers all, nothing else covers another."""
    headers = {"X-API-Key": credential(client, *held)}
    asked = {"name": "n", "scopes": list(granted)}
    assert client.post("/credentials", json=asked, headers=headers).status_code == status


def test_nobody_takes_over_a_credential_of_more_scopes(client: httpx.Client) -> None:
    """A new secret for it would be one for its scopes."""
    strong, weak = made(client, "*"), made(client, "encrypt:orders")
    headers = {"X-API-Key": credential(client, "credentials:admin", "encrypt:*")}
    path = "/credentials/{}/rotate"
    problem(client.post(path.format(strong["id"]), headers=headers), 403, "forbidden")
    assert until(client, strong["api_key"], 200)
    assert ok(client.post(path.format(weak["id"]), headers=headers))["scopes"] == ["encrypt:orders"]


def test_a_rotation_widens_nothing(client: httpx.Client) -> None:
    """A body that asks for scopes is refused; the scopes stay those that were granted."""
    mine = made(client, "encrypt:orders")
    headers = {"X-API-Key": mine["api_key"]}
    asked = {"scopes": ["*"]}
    answer = client.post("/credentials/self/rotate", json=asked, headers=headers)
    problem(answer, 422, "invalid")
    rotated = ok(client.post("/credentials/self/rotate", headers=headers))
    assert rotated["scopes"] == ["encrypt:orders"]


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "n", "scopes": []},
        {"name": "n", "scopes": ["encrypt"]},
        {"name": "n", "scopes": ["encrypt:*\n"]},
        {"name": "n", "scopes": ["everything"]},
        {"name": "", "scopes": ["*"]},
        {"name": "n\0", "scopes": ["*"]},
        {"name": "n", "scopes": ["*"], "expires_days": 0},
        {"name": "n", "scopes": ["*"], "expires_days": 36_501},
        {"name": "n", "scopes": ["*"], "id": "a" * 16},
        {"name": "n", "scopes": "*"},
    ],
    ids=str,
)
def test_what_no_credential_can_be_is_refused(client: httpx.Client, asked: Any) -> None:
    """Before anything is made."""
    problem(client.post("/credentials", json=asked), 422, "invalid")


def test_only_an_administrator_sees_or_ends_credentials(client: httpx.Client) -> None:
    """Everybody sees his own, whatever his scopes."""
    other = made(client, "*")
    mine = made(client, "encrypt:*", "keys:admin", "audit:read")
    headers = {"X-API-Key": mine["api_key"]}
    for method, path in (
        ("GET", "/credentials"),
        ("GET", f"/credentials/{other['id']}"),
        ("POST", f"/credentials/{other['id']}/revoke"),
        ("POST", f"/credentials/{other['id']}/rotate"),
        ("POST", f"/credentials/{mine['id']}/rotate"),
    ):
        problem(client.request(method, path, headers=headers), 403, "forbidden")
    assert ok(client.get("/credentials/self", headers=headers))["id"] == mine["id"]


def test_a_secret_is_shown_once(client: httpx.Client) -> None:
    """And nothing that is told later holds it, or its digest."""
    new = made(client, "encrypt:*", expires_days=30)
    assert list(new) == [
        "id", "name", "scopes", "state", "bound", "created_at", "expires_at", "rotated_at",
        "rotation_due", "previous_until", "api_key",
    ]  # fmt: skip
    secret = new["api_key"].split("_", 2)[2]  # which may have others in it
    shown = client.get(f"/credentials/{new['id']}")
    listed = client.get("/credentials", params={"limit": 1000})
    recorded = client.get("/audit", params={"event": "credential"})
    for answer in (shown, listed, recorded):
        ok(answer)
        assert secret not in answer.text
        assert "digest" not in answer.text
    assert {**ok(shown), "api_key": new["api_key"]} == new


def test_credentials_are_listed_a_page_at_a_time(client: httpx.Client) -> None:
    """In order of id."""
    wanted = {made(client, "keys:read")["id"] for _ in range(3)}
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = ok(client.get("/credentials", params=query))
        found += [each["id"] for each in page["credentials"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert found == sorted(found)
    assert wanted <= set(found)


@pytest.mark.parametrize("absent", ["aaaaaaaaaaaaaaaa", "A", "%00", "a%3Ab", "self2", "a" * 5000])
def test_a_credential_that_is_not_there_is_a_404(client: httpx.Client, absent: str) -> None:
    """Also of a name that none can have, which no store is asked for."""
    problem(client.get(f"/credentials/{absent}"), 404, "not-found")
    for each in ("rotate", "revoke"):
        problem(client.post(f"/credentials/{absent}/{each}"), 404, "not-found")


# Rotation, revocation, expiry -----------------------------------------------------------------


def test_the_former_secret_serves_for_the_overlap(client: httpx.Client, service: Running) -> None:
    """Then it ends; the new one serves at once."""
    first = made(client, "encrypt:*")
    second = ok(client.post("/credentials/self/rotate", headers={"X-API-Key": first["api_key"]}))
    assert second["id"] == first["id"]
    assert second["api_key"] != first["api_key"]
    overlap = datetime.fromisoformat(second["previous_until"]) - datetime.now(UTC)
    assert timedelta(days=89, hours=23) < overlap <= timedelta(days=90)
    for api_key in (first["api_key"], second["api_key"]):
        assert until(client, api_key, 200).json()["id"] == first["id"]
    change(service, first["id"], previous_until=datetime.now(UTC) - timedelta(seconds=1))
    until(client, first["api_key"], 401)
    until(client, second["api_key"], 200)


def test_two_versions_live_and_never_three(client: httpx.Client) -> None:
    """A second rotation ends the first secret, whatever its overlap."""
    keys = [made(client, "encrypt:*")["api_key"]]
    for _ in range(2):
        headers = {"X-API-Key": keys[-1]}
        keys.append(ok(client.post("/credentials/self/rotate", headers=headers))["api_key"])
    until(client, keys[0], 401)
    until(client, keys[1], 200)
    until(client, keys[2], 200)


@pytest.mark.parametrize("by_the_holder", [True, False])
def test_the_former_secret_can_be_ended_at_once(client: httpx.Client, by_the_holder: bool) -> None:
    """With `revoke_previous`: the next request with it is refused by this process."""
    first = made(client, "encrypt:*")
    path = "/credentials/self/rotate" if by_the_holder else f"/credentials/{first['id']}/rotate"
    headers = {"X-API-Key": first["api_key"]} if by_the_holder else {}
    second = ok(client.post(path, json={"revoke_previous": True}, headers=headers))
    assert second["previous_until"] is None
    answer = client.get("/credentials/self", headers={"X-API-Key": first["api_key"]})
    problem(answer, 401, "unauthenticated")
    until(client, second["api_key"], 200)


def test_a_revoked_credential_stays_revoked(client: httpx.Client) -> None:
    """It is refused at once, its id is never given again, and no rotation revives it."""
    ended = made(client, "encrypt:*")
    shown = ok(client.post(f"/credentials/{ended['id']}/revoke"))
    assert shown["state"] == "revoked"
    answer = client.post("/crypto/encrypt", json={"data": HELLO},
                         headers={"X-API-Key": ended["api_key"]})  # fmt: skip
    problem(answer, 401, "unauthenticated")
    problem(client.post(f"/credentials/{ended['id']}/rotate"), 409, "key-state")
    assert ok(client.post(f"/credentials/{ended['id']}/revoke"))["state"] == "revoked"
    assert ok(client.get(f"/credentials/{ended['id']}"))["state"] == "revoked"


def test_a_credential_expires(client: httpx.Client, service: Running) -> None:
    """At the moment that was named when it was made; no rotation prolongs it."""
    short = made(client, "encrypt:*", expires_days=1)
    ends = datetime.fromisoformat(short["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < ends <= timedelta(days=1)
    headers = {"X-API-Key": short["api_key"]}
    rotated = ok(client.post("/credentials/self/rotate", headers=headers))
    assert rotated["expires_at"] == short["expires_at"]
    change(service, short["id"], expires_at=datetime.now(UTC) - timedelta(seconds=1))
    until(client, rotated["api_key"], 401)
    problem(client.post(f"/credentials/{short['id']}/rotate"), 409, "key-state")


# When a secret is due -------------------------------------------------------------------------


def test_a_secret_that_is_due_is_told_with_every_answer(
    client: httpx.Client, service: Running
) -> None:
    """In a header with the moment since when, also of a stream, until it is rotated."""
    mine = made(client, "encrypt:*")
    headers = {"X-API-Key": mine["api_key"]}
    asked = {"data": HELLO, "key_id": key(client)}
    first = client.post("/crypto/encrypt", json=asked, headers=headers)
    assert "x-api-key-rotation-due" not in first.headers
    long_ago = datetime.now(UTC) - timedelta(days=91)
    change(service, mine["id"], created_at=long_ago)
    deadline = time.monotonic() + FRESH_SECONDS
    while (
        "x-api-key-rotation-due"
        not in (answer := client.post("/crypto/encrypt", json=asked, headers=headers)).headers
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ok(answer)
    due = answer.headers["x-api-key-rotation-due"]
    assert due == (long_ago + timedelta(days=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    octets = {**headers, "Content-Type": "application/octet-stream"}
    stream = client.post("/crypto/encrypt/stream", content=b"x", headers=octets)
    assert stream.headers["x-api-key-rotation-due"] == due
    assert b"mfn_credentials_due 0.0" not in client.get("/metrics").content
    rotated = client.post("/credentials/self/rotate", headers=headers)
    new = {"X-API-Key": ok(rotated)["api_key"]}
    again = client.post("/crypto/encrypt", json=asked, headers=new)
    assert "x-api-key-rotation-due" not in again.headers


# A revocation in another process --------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Running, Running]]:
    """Two services over one store."""
    home = tmp_path / "home"
    initialise(home=home).close()
    first = start(home)
    second = start(home)
    yield first, second
    assert (first.stop(), second.stop()) == (0, 0)


def test_what_is_revoked_on_one_service_ends_on_the_other(two: tuple[Running, Running]) -> None:
    """Within five seconds, without a word between them."""
    with two[0].client() as here, two[1].client(two[0].api_key) as there:
        mine = made(here, "encrypt:*")
        until(there, mine["api_key"], 200)
        ok(here.post(f"/credentials/{mine['id']}/revoke"))
        until(there, mine["api_key"], 401)


def test_a_former_secret_rotates_nothing(client: httpx.Client) -> None:
    """Whoever still holds one must not lock out whoever has the newest."""
    first = made(client, "encrypt:*")
    headers = {"X-API-Key": first["api_key"]}
    ok(client.post("/credentials/self/rotate", headers=headers))
    until(client, first["api_key"], 200)
    answer = client.post(
        "/credentials/self/rotate", json={"revoke_previous": True}, headers=headers
    )
    problem(answer, 403, "forbidden")


# After a restore ------------------------------------------------------------------------------


def test_a_credential_that_waits_since_a_restore_is_confirmed_over_http(
    service: Running, client: httpx.Client
) -> None:
    """By an administrator who has all of its scopes; one that is revoked stays so."""
    waiting, ended = made(client, "encrypt:*", "decrypt:*"), made(client, "encrypt:*")
    change(service, waiting["id"], state=CredentialState.UNCONFIRMED)
    ok(client.post(f"/credentials/{ended['id']}/revoke"))
    little = made(client, "credentials:admin", "encrypt:*")
    path = f"/credentials/{waiting['id']}"
    assert ok(client.get(path))["state"] == "unconfirmed"
    refused = client.post(f"{path}/confirm", headers={"X-API-Key": little["api_key"]})
    problem(refused, 403, "forbidden")
    problem(client.post(f"/credentials/{ended['id']}/confirm"), 409, "key-state")
    assert ok(client.post(f"{path}/confirm"))["state"] == "active"
    own = client.get("/credentials/self", headers={"X-API-Key": waiting["api_key"]})
    assert ok(own)["id"] == waiting["id"]
