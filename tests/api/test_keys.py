"""`/keys`: make, list, show, change, rotate, every verb of a version's state, public keys."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey
from tests.api.test_openapi import OPERATIONS
from tests.support.algorithms import SIGNING, WRAPPING
from tests.support.key_transport import key_to_wrap_for
from tests.support.service import credential, unb64
from tests.test_crypto_api import HELLO, key, name, ok, problem

if TYPE_CHECKING:
    import httpx

VERBS = ("suspend", "activate", "deactivate", "compromise", "destroy", "cancel-destruction")


def verb(client: httpx.Client, key_id: str, *names: str) -> Any:
    """What the last of these verbs answers."""
    for each in names:
        answer = client.post(f"/keys/{key_id}/{each}")
        assert answer.status_code == 200, answer.text
    return answer.json()


def state(shown: Any, place: int = -1) -> str:
    return str(shown["versions"][place]["state"])


# Make, show, list -----------------------------------------------------------------------------


def test_a_key_is_made_shown_and_listed(client: httpx.Client) -> None:
    """With its policy and one active version, and nothing secret."""
    key_id = name()
    made = client.post("/keys", json={"key_id": key_id})
    assert made.status_code == 201
    shown = made.json()
    assert (shown["key_id"], shown["type"], shown["use"]) == (key_id, "encryption", "data")
    assert (shown["algorithm"], shown["publish"]) == ("AES-256-GCM", False)
    assert (shown["primary"], state(shown)) == (f"{key_id}:v1", "active")
    assert shown["rotation"] == {
        "interval_days": 90, "retain_count": 3, "auto_destroy": False, "unused_for_days": 400,
        "automatic": True,
    }  # fmt: skip
    assert shown["minimum_versions"] == {"available": 1, "decrypt": 1, "encrypt": 1, "latest": 1}
    assert ok(client.get(f"/keys/{key_id}")) == shown
    assert ok(client.get(f"/keys/{key_id}:v1")) == shown
    listed = ok(client.get("/keys", params={"after": key_id[:-1], "limit": 1000}))["keys"]
    assert shown in listed
    assert "wrapped" not in made.text


@pytest.mark.parametrize(
    ("asked", "algorithm"),
    [
        ({"type": "signing"}, SIGNING),
        ({"type": "signing", "algorithm": "ECDSA-P384", "use": "request"}, "ECDSA-P384"),
        ({"type": "mac"}, "HMAC-SHA-256"),
        ({"rotation": {"interval_days": 7, "auto_destroy": True}}, "AES-256-GCM"),
    ],
    ids=str,
)
def test_a_key_is_made_as_it_is_asked_for(
    client: httpx.Client, asked: dict[str, Any], algorithm: str
) -> None:
    """Of each type; what is not said is the type's default."""
    made = client.post("/keys", json={"key_id": name(), **asked}).json()
    assert made["algorithm"] == algorithm
    assert made["use"] == asked.get("use", "data")
    for member, value in asked.get("rotation", {}).items():
        assert made["rotation"][member] == value


@pytest.mark.parametrize(
    "asked",
    [
        {"type": "api"},
        {"type": "mac", "algorithm": "Ed25519"},
        {"type": "encryption", "publish": True},
        {"type": "mac", "use": "request"},
        {"key_id": "UPPER"},
        {"key_id": "orders:v2"},
        {"key_id": ""},
        {"rotation": {"interval_days": 0}},
        {"rotation": {"unused_for_days": 399}},
        {"rotation": {"retain_count": 1.0}},
    ],
    ids=str,
)
def test_what_no_key_can_be_is_refused(client: httpx.Client, asked: dict[str, Any]) -> None:
    """Before anything is made."""
    key_id = name()
    problem(client.post("/keys", json={"key_id": key_id, **asked}), 422, "invalid")
    problem(client.get(f"/keys/{key_id}"), 404, "not-found")


def test_a_name_is_given_once(client: httpx.Client) -> None:
    """Also after its key was destroyed, since messages name it."""
    key_id = key(client)
    problem(client.post("/keys", json={"key_id": key_id}), 409, "exists")


def test_keys_are_listed_a_page_at_a_time(client: httpx.Client) -> None:
    """In order of name; `next` leads from page to page, and from the last nowhere."""
    prefix = f"p{secrets.token_hex(4)}"
    wanted = [f"{prefix}-{number}" for number in range(5)]
    for key_id in reversed(wanted):
        assert client.post("/keys", json={"key_id": key_id, "type": "mac"}).status_code == 201
    found: list[str] = []
    after: str | None = prefix
    while after is not None and len(found) < 5:
        page = ok(client.get("/keys", params={"after": after, "limit": 2}))
        assert len(page["keys"]) <= 2
        found += [each["key_id"] for each in page["keys"]]
        after = page["next"]
    assert found[:5] == wanted
    last = ok(client.get("/keys", params={"after": "zzzz", "limit": 2}))
    assert last == {"keys": [], "next": None}


@pytest.mark.parametrize(
    "query",
    [
        "after=%00", "after=A", "after=orders%3Av1", "limit=0", "limit=1001", "limit=ten",
        "limit=1.0", "limit=+1", "other=1", "after=a&after=b", "after", "after=%zz", "limit=01",
    ],
)  # fmt: skip
def test_a_query_string_is_read_strictly(client: httpx.Client, query: str) -> None:
    """With a problem that speaks of the query string, and repeats nothing of it."""
    answer = client.get(f"/keys?{query}")
    assert answer.status_code in (400, 422)
    body = answer.json()
    assert "body is not" not in body["title"] + body["detail"]
    assert "other" not in answer.text


# Change and rotate ----------------------------------------------------------------------------


def test_a_policy_is_changed_in_what_is_named(client: httpx.Client) -> None:
    """The rest stays as it is."""
    key_id = key(client, "signing")
    changed = ok(client.patch(f"/keys/{key_id}", json={"rotation": {"retain_count": 9}}))
    assert changed["rotation"]["retain_count"] == 9
    assert changed["rotation"]["interval_days"] == 365
    published = ok(client.patch(f"/keys/{key_id}", json={"publish": True}))
    assert published["publish"] is True
    assert published["rotation"]["retain_count"] == 9
    assert ok(client.patch(f"/keys/{key_id}", json={})) == published


def test_only_a_signing_key_is_published(client: httpx.Client) -> None:
    """Others have no public key."""
    answer = client.patch(f"/keys/{key(client)}", json={"publish": True})
    problem(answer, 400, "key-usage")


def test_a_rotation_adds_the_version_that_protects(client: httpx.Client) -> None:
    """The former one goes on opening."""
    key_id = key(client)
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    rotated = ok(client.post(f"/keys/{key_id}/rotate"))
    assert rotated["primary"] == f"{key_id}:v2"
    assert [each["version"] for each in rotated["versions"]] == [1, 2]
    newer = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    assert newer["key_id"] == f"{key_id}:v2"
    assert ok(client.post("/crypto/decrypt", json=sealed))["data"] == HELLO


def test_a_version_is_not_rotated(client: httpx.Client) -> None:
    """Only a key is, by its name."""
    key_id = key(client)
    problem(client.post(f"/keys/{key_id}:v1/rotate"), 404, "not-found")
    assert len(ok(client.get(f"/keys/{key_id}"))["versions"]) == 1


# States ---------------------------------------------------------------------------------------


def test_a_suspended_version_neither_protects_nor_opens(client: httpx.Client) -> None:
    """At once in this process; the problem is the key's state, not the message."""
    key_id = key(client)
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    assert state(verb(client, key_id, "suspend")) == "suspended"
    asked = {"data": HELLO, "key_id": key_id}
    problem(client.post("/crypto/encrypt", json=asked), 409, "key-state")
    problem(client.post("/crypto/decrypt", json=sealed), 409, "key-state")
    assert state(verb(client, key_id, "activate")) == "active"
    assert ok(client.post("/crypto/decrypt", json=sealed))["data"] == HELLO


def test_a_deactivated_version_opens_and_does_not_protect(client: httpx.Client) -> None:
    """And never protects again."""
    key_id = key(client)
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    shown = verb(client, key_id, "deactivate")
    assert (state(shown), shown["primary"]) == ("deactivated", None)
    asked = {"data": HELLO, "key_id": key_id}
    problem(client.post("/crypto/encrypt", json=asked), 409, "key-state")
    assert ok(client.post("/crypto/decrypt", json=sealed))["data"] == HELLO
    problem(client.post(f"/keys/{key_id}/activate"), 409, "key-state")


def test_what_a_compromised_version_sealed_needs_a_scope_of_its_own(client: httpx.Client) -> None:
    """`allow_compromised`, asked for and granted."""
    key_id = key(client)
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    shown = verb(client, key_id, "compromise")
    assert (state(shown), shown["versions"][0]["compromised"]) == ("compromised", True)
    problem(client.post("/crypto/decrypt", json=sealed), 409, "key-state")
    asked = {**sealed, "allow_compromised": True}
    assert ok(client.post("/crypto/decrypt", json=asked))["data"] == HELLO
    headers = {"X-API-Key": credential(client, "decrypt:*")}
    problem(client.post("/crypto/decrypt", json=asked, headers=headers), 403, "forbidden")
    one = ok(client.post("/crypto/decrypt/batch", json={"items": [asked]}, headers=headers))
    assert one["items"][0]["error"]["status"] == 403
    query = {"allow_compromised": "true"}
    octets = {"Content-Type": "application/octet-stream"}
    message = unb64(sealed["ciphertext"])
    stream = client.post("/crypto/decrypt/stream", content=message, params=query, headers=octets)
    assert stream.content == b"hello"
    refused = client.post(
        "/crypto/decrypt/stream", content=message, params=query, headers={**octets, **headers}
    )
    problem(refused, 403, "forbidden")


def test_a_destruction_can_be_cancelled(client: httpx.Client) -> None:
    """Within its window, of 7 to 365 days, 30 by default."""
    key_id = key(client)
    sealed = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    problem(client.post(f"/keys/{key_id}/destroy"), 409, "key-state")  # it protects new data
    ok(client.post(f"/keys/{key_id}/rotate"))
    first = f"{key_id}:v1"
    for days in (6, 366):
        answer = client.post(f"/keys/{first}/destroy", json={"window_days": days})
        problem(answer, 422, "invalid")
    shown = ok(client.post(f"/keys/{first}/destroy", json={"window_days": 7}))
    assert state(shown, 0) == "pending-destruction"
    assert shown["versions"][0]["destroy_at"] is not None
    problem(client.post("/crypto/decrypt", json=sealed), 409, "key-state")
    assert state(verb(client, first, "cancel-destruction"), 0) == "deactivated"
    assert ok(client.post("/crypto/decrypt", json=sealed))["data"] == HELLO


def test_compromise_is_remembered_through_destruction(client: httpx.Client) -> None:
    """A version whose destruction is cancelled is compromised still."""
    key_id = key(client)
    shown = verb(client, key_id, "compromise", "destroy", "cancel-destruction")
    assert (state(shown), shown["versions"][0]["compromised"]) == ("compromised", True)


@pytest.mark.parametrize("each", VERBS)
@pytest.mark.parametrize("absent", ["absent", "a:v1", "Not-A-Key", "%00", "a%3Ab", "k:v0"])
def test_what_is_not_there_has_no_state(client: httpx.Client, each: str, absent: str) -> None:
    """Names that no key can have are not there either."""
    problem(client.post(f"/keys/{absent}/{each}"), 404, "not-found")


def test_a_version_that_is_not_there_is_no_key(client: httpx.Client) -> None:
    """Of one that is: on every route whose path has a key id, whatever it does with it."""
    key_id = name()
    made = {"key_id": key_id, "type": "signing", "exportable": True}
    assert client.post("/keys", json=made).status_code == 201
    before = ok(client.get(f"/keys/{key_id}"))
    asked = [each.split(" ") for each in OPERATIONS if "/keys/{key_id}" in each]
    assert len(asked) > 10
    bodies: dict[str, Any] = {
        "PATCH": {"rotation": {"interval_days": 7}},
        "export": {"public_key": key_to_wrap_for(WRAPPING).public.pem().decode()},
    }
    for method, path in asked:
        body = bodies.get(path.rpartition("/")[2], bodies.get(method))
        place = path.replace("{key_id}", f"{key_id}:v9")
        problem(client.request(method, place, json=body), 404, "not-found")
    assert ok(client.get(f"/keys/{key_id}")) == before


def test_a_verb_takes_no_body_but_that_of_destroy(client: httpx.Client) -> None:
    """A window given to another verb would be taken for granted."""
    answer = client.post(f"/keys/{key(client)}/suspend", json={"window_days": 30})
    problem(answer, 413, "too-large")


# Scopes ---------------------------------------------------------------------------------------


def test_reading_and_changing_keys_are_scopes(client: httpx.Client) -> None:
    """`keys:read` reads, `keys:admin` changes, neither does the other's, nor any crypto."""
    key_id = key(client)
    reader = {"X-API-Key": credential(client, "keys:read")}
    admin = {"X-API-Key": credential(client, "keys:admin")}
    nobody = {"X-API-Key": credential(client, "encrypt:*", "decrypt:*", "sign:*")}
    reads = [("GET", "/keys", None), ("GET", f"/keys/{key_id}", None)]
    changes = [
        ("POST", "/keys", {"key_id": name()}),
        ("PATCH", f"/keys/{key_id}", {"publish": False}),
        ("POST", f"/keys/{key_id}/rotate", None),
        *(("POST", f"/keys/{key_id}/{each}", None) for each in VERBS),
    ]
    for asked, allowed, others in ((reads, reader, admin), (changes, admin, reader)):
        for method, path, body in asked:
            for headers in (others, nobody):
                answer = client.request(method, path, json=body, headers=headers)
                problem(answer, 403, "forbidden")
            answer = client.request(method, path, json=body, headers=allowed)
            assert answer.status_code in (200, 201, 400, 409), (method, path, answer.text)
    asked_for = {"data": HELLO, "key_id": key_id}
    for headers in (reader, admin):
        problem(client.post("/crypto/encrypt", json=asked_for, headers=headers), 404, "not-found")


# Public keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65"])
def test_a_public_key_verifies_elsewhere(client: httpx.Client, algorithm: str) -> None:
    """In PEM and as a JWK, of the version named."""
    key_id = key(client, "signing", algorithm=algorithm)
    signed = ok(client.post("/crypto/sign", json={"data": HELLO, "key_id": key_id}))
    ok(client.post(f"/keys/{key_id}/rotate"))
    shown = ok(client.get(f"/keys/{signed['key_id']}/public"))
    assert (shown["key_id"], shown["algorithm"]) == (f"{key_id}:v1", algorithm)
    assert shown["jwk"]["kid"] == f"{key_id}:v1"
    for verifying in (
        VerifyingKey.from_pem(shown["pem"].encode()),
        VerifyingKey.from_jwk(shown["jwk"]),
    ):
        verifying.verify(b"hello", unb64(signed["signature"]))
    assert ok(client.get(f"/keys/{key_id}/public"))["key_id"] == f"{key_id}:v2"


def test_a_public_key_is_for_those_who_may_verify(client: httpx.Client) -> None:
    """For others the key is not there."""
    key_id = key(client, "signing")
    for scope, status in (
        (f"verify:{key_id}", 200), ("verify:*", 200), ("keys:read", 200),
        ("verify:another", 404), (f"sign:{key_id}", 404), ("keys:admin", 404),
    ):  # fmt: skip
        headers = {"X-API-Key": credential(client, scope)}
        answer = client.get(f"/keys/{key_id}/public", headers=headers)
        assert answer.status_code == status, scope
    problem(client.get(f"/keys/{key(client)}/public"), 400, "key-usage")


def test_the_jwks_lists_what_is_published_and_may_verify(client: httpx.Client) -> None:
    """To anybody; a suspended version is taken out, a published key's older ones stay in."""
    key_id = key(client, "signing", publish=True)
    hidden = key(client, "signing")

    def kids() -> list[str]:
        answer = client.get("/.well-known/jwks.json", headers={"X-API-Key": ""})
        return [each["kid"] for each in ok(answer)["keys"]]

    assert f"{key_id}:v1" in kids()
    ok(client.post(f"/keys/{key_id}/rotate"))
    assert {f"{key_id}:v1", f"{key_id}:v2"} <= set(kids())
    assert not any(kid.startswith(hidden) for kid in kids())
    verb(client, f"{key_id}:v1", "suspend")
    assert f"{key_id}:v1" not in kids()
    ok(client.patch(f"/keys/{key_id}", json={"publish": False}))
    assert f"{key_id}:v2" not in kids()


def test_no_answer_shows_a_private_key(client: httpx.Client) -> None:
    """Of all that is told of a signing key."""
    key_id = key(client, "signing", publish=True)
    for path in (f"/keys/{key_id}", f"/keys/{key_id}/public", "/.well-known/jwks.json"):
        text = client.get(path).text
        for private in ('"d"', '"priv"', "PRIVATE", "wrapped"):
            assert private not in text


def test_a_key_made_over_http_is_recorded_before_and_after(client: httpx.Client) -> None:
    """Its intent, and its outcome, under the request's id."""
    key_id = name()
    made = client.post("/keys", json={"key_id": key_id, "type": "mac"})
    records = ok(client.get("/audit", params={"key": key_id}))["records"]
    assert [each["outcome"] for each in records] == ["ok", "intent"]
    assert {each["request"] for each in records} == {made.headers["x-request-id"]}
    assert records[0]["intent"] == records[1]["sequence"]


# Rotation at a time ---------------------------------------------------------------------------


def test_a_version_is_made_that_protects_from_a_time_on(client: httpx.Client) -> None:
    """It waits, is seen to wait, and may be activated before."""
    key_id = key(client)
    asked = {"activate_at": "2100-01-01T00:00:00Z"}
    made = ok(client.post(f"/keys/{key_id}/rotate", json=asked))
    assert made["primary"] == f"{key_id}:v1"
    assert made["versions"][1]["state"] == "pre-activation"
    assert made["versions"][1]["activate_at"] == asked["activate_at"]
    assert made["minimum_versions"] == {"available": 1, "decrypt": 1, "encrypt": 1, "latest": 2}
    made = ok(client.post(f"/keys/{key_id}:v2/activate"))
    assert made["primary"] == f"{key_id}:v2"
    assert made["minimum_versions"]["encrypt"] == 2


@pytest.mark.parametrize("body", [{}, {"activate_at": None}])
def test_without_a_time_it_protects_at_once(client: httpx.Client, body: dict[str, Any]) -> None:
    """As with no body at all."""
    key_id = key(client)
    assert ok(client.post(f"/keys/{key_id}/rotate", json=body))["primary"] == f"{key_id}:v2"


@pytest.mark.parametrize(
    "moment",
    ["2020-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2100-13-01T00:00:00Z", "2100-01-01",
     "2100-01-01T00:00:00", "2100-01-01T00:00:00+02:00", 4102444800],
)  # fmt: skip
def test_a_time_that_is_none_or_has_passed_is_refused(client: httpx.Client, moment: Any) -> None:
    """And no version is made."""
    key_id = key(client)
    asked = client.post(f"/keys/{key_id}/rotate", json={"activate_at": moment})
    problem(asked, 422, "invalid")
    assert len(ok(client.get(f"/keys/{key_id}"))["versions"]) == 1


def test_a_key_is_left_to_be_rotated_by_hand(client: httpx.Client) -> None:
    """``automatic`` says whether schedulers rotate it."""
    key_id = key(client)
    for automatic in (False, True):
        asked = {"rotation": {"automatic": automatic}}
        changed = ok(client.patch(f"/keys/{key_id}", json=asked))
        assert changed["rotation"]["automatic"] is automatic
        assert changed["rotation"]["interval_days"] == 90
