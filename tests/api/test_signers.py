"""Signers over HTTP: who registers a public key, for whom, and who ends it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net.security.audit import query
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import SIGNING
from tests.support.service import credential
from tests.support.signing import Peer
from tests.test_crypto_api import name, ok, problem

if TYPE_CHECKING:
    from tests.support.service import Running

FIELDS = [
    "name", "algorithm", "credentials", "any_credential", "state", "created_at", "public_key",
    "thumbprint",
]  # fmt: skip


def pem(algorithm: str = SIGNING) -> str:
    """A fresh public key."""
    return SigningKey.generate(algorithm).public.pem().decode()


def made(client: httpx.Client, *scopes: str) -> str:
    """The id of a new credential with those scopes."""
    return credential(client, *scopes).split("_")[1]


def add(client: httpx.Client, **asked: Any) -> httpx.Response:
    """Ask for a signer of any credential, unless something else is asked for."""
    if "credentials" not in asked:
        asked.setdefault("any_credential", True)
    return client.post("/signers", json={"name": name("peer"), "public_key": pem(), **asked})


def added(client: httpx.Client, **asked: Any) -> Any:
    answer = add(client, **asked)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384"])
@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_a_public_key_is_registered(client: httpx.Client, algorithm: str, form: str) -> None:
    """PEM or JWK in, one shape out, the same from each route."""
    public = SigningKey.generate(algorithm).public
    text = public.pem().decode() if form == "pem" else json.dumps(public.jwk())
    caller = made(client, "encrypt:*")
    signer = added(client, public_key=text, credentials=[caller])
    assert list(signer) == FIELDS
    assert (signer["algorithm"], signer["state"]) == (algorithm, "active")
    assert (signer["credentials"], signer["any_credential"]) == ([caller], False)
    assert signer["public_key"] == public.pem().decode()
    assert signer["thumbprint"] == hashlib.sha256(public.der()).hexdigest()
    assert ok(client.get(f"/signers/{signer['name']}")) == signer


def test_signers_are_listed_a_page_at_a_time(client: httpx.Client) -> None:
    """In order of name; the last page has no next."""
    prefix = name("page")
    names = [added(client, name=f"{prefix}.{each}")["name"] for each in "cab"]
    first = ok(client.get("/signers", params={"after": prefix, "limit": 2}))
    assert [each["name"] for each in first["signers"]] == sorted(names)[:2]
    assert first["next"] == sorted(names)[1]
    rest = ok(client.get("/signers", params={"after": first["next"], "limit": 1000}))
    assert rest["signers"][0]["name"] == sorted(names)[2]
    assert rest["next"] is None
    for wrong in ({"after": "A"}, {"limit": "0"}, {"limit": "1001"}, {"before": "a"}):
        problem(client.get("/signers", params=wrong), 422, "invalid")


@pytest.mark.parametrize(
    ("asked", "status", "slug"),
    [
        ({"any_credential": False}, 422, "invalid"),
        ({"credentials": None}, 422, "invalid"),
        ({"credentials": []}, 422, "invalid"),
        ({"credentials": ["nobody"]}, 422, "invalid"),
        ({"credentials": ["a" * 16]}, 404, "not-found"),
        ({"credentials": ["a" * 16] * 101}, 422, "invalid"),
        ({"credentials": ["a" * 16], "any_credential": 1}, 422, "invalid"),
        ({"name": "Peer"}, 422, "invalid"),
        ({"name": ""}, 422, "invalid"),
        ({"public_key": ""}, 422, "invalid"),
        ({"public_key": "no key"}, 422, "invalid"),
        ({"public_key": "x" * 4097}, 422, "invalid"),
        ({"public_key": SigningKey.generate(SIGNING).private_pem().decode()}, 422, "invalid"),
        (
            {
                "public_key": json.dumps(
                    {**SigningKey.generate(SIGNING).public.jwk(), "d": "A" * 43}
                )
            },
            422,
            "invalid",
        ),
        ({"public_key": pem("ML-DSA-65")}, 422, "algorithm"),
        ({"state": "active"}, 422, "invalid"),
    ],
)
def test_what_cannot_be_a_signer_is_refused(
    client: httpx.Client, asked: dict[str, Any], status: int, slug: str
) -> None:
    """And leaves nothing behind."""
    answer = add(client, **{"name": "refused", **asked})
    problem(answer, status, slug)
    assert client.get("/signers/refused").status_code == 404


def test_a_signer_names_credentials_or_signs_for_any(client: httpx.Client) -> None:
    """Not both."""
    answer = add(client, credentials=[made(client, "encrypt:*")], any_credential=True)
    problem(answer, 422, "invalid")


def test_a_name_and_a_key_are_registered_once(client: httpx.Client) -> None:
    """Also once the signer is revoked: who signed what must stay certain."""
    signer = added(client)
    for _ in range(2):
        problem(add(client, name=signer["name"]), 409, "exists")
        problem(add(client, public_key=signer["public_key"]), 409, "exists")
        ok(client.post(f"/signers/{signer['name']}/revoke"))


def test_a_revoked_signer_stays_revoked_and_listed(client: httpx.Client) -> None:
    """With what it named, which stays bound."""
    caller = made(client, "encrypt:*")
    signer = added(client, credentials=[caller])
    for _ in range(2):
        revoked = ok(client.post(f"/signers/{signer['name']}/revoke"))
        assert revoked == {**signer, "state": "revoked"}
    assert ok(client.get(f"/signers/{signer['name']}")) == revoked


@pytest.mark.parametrize("unknown", ["nobody-of-that-name", "Peer", "a" * 65, "a:v1", "%20"])
def test_an_unknown_signer_is_not_found(client: httpx.Client, unknown: str) -> None:
    """Also what can be no name."""
    problem(client.get(f"/signers/{unknown}"), 404, "not-found")
    problem(client.post(f"/signers/{unknown}/revoke"), 404, "not-found")


def test_a_signer_binds_its_credential_at_once(client: httpx.Client, service: Running) -> None:
    """No policy asks for signatures here: the leaked API key alone is refused all the same."""
    api_key = credential(client, "encrypt:*")
    peer = Peer(name("peer"), authority=service.url.removeprefix("http://"))
    request = httpx.Request(
        "GET", f"{service.url}/credentials/self", headers={"X-API-Key": api_key}
    )
    with httpx.Client(timeout=30.0) as bare:
        ok(bare.send(request))
        added(
            client,
            name=peer.name,
            public_key=peer.key.public.pem().decode(),
            credentials=[api_key.split("_")[1]],
        )
        problem(bare.send(request), 401, "unauthenticated")
        ok(bare.send(peer.sign(request)))
        ok(client.post(f"/signers/{peer.name}/revoke"))
        problem(bare.send(peer.sign(request)), 401, "unauthenticated")


# Who may do it --------------------------------------------------------------------------------


def test_signers_are_for_whoever_has_their_scope(client: httpx.Client) -> None:
    """All other scopes together do not open the four routes."""
    others = credential(
        client, "keys:read", "keys:admin", "credentials:admin", "audit:read", "sign:*", "verify:*"
    )
    signer = added(client)["name"]
    headers = {"X-API-Key": others}
    for answer in (
        client.post("/signers", json={}, headers=headers),
        client.get("/signers", headers=headers),
        client.get(f"/signers/{signer}", headers=headers),
        client.post(f"/signers/{signer}/revoke", headers=headers),
    ):
        problem(answer, 403, "forbidden")
    reader = {"X-API-Key": credential(client, "signers:admin")}
    ok(client.get("/signers", headers=reader))
    ok(client.get(f"/signers/{signer}", headers=reader))


@pytest.mark.parametrize(
    ("held", "of_the_credential", "allowed"),
    [
        (("encrypt:orders",), ("encrypt:orders",), True),
        (("encrypt:*", "decrypt:*"), ("encrypt:orders", "decrypt:a"), True),
        (("*",), ("*",), True),
        ((), ("signers:admin",), True),
        ((), ("encrypt:orders",), False),
        (("encrypt:orders",), ("encrypt:*",), False),
        (("encrypt:*",), ("encrypt:orders", "decrypt:orders"), False),
        (("keys:admin", "credentials:admin"), ("*",), False),
        (("*",), None, True),
        (("encrypt:*", "decrypt:*", "keys:admin", "credentials:admin"), None, False),
    ],
)
def test_nobody_has_a_hand_on_a_credential_that_may_do_more(
    client: httpx.Client,
    held: tuple[str, ...],
    of_the_credential: tuple[str, ...] | None,
    allowed: bool,
) -> None:
    """He would sign in its place, or shut it out: neither by adding a signer nor by ending one.

    None stands for any credential.
    """
    caller = {"X-API-Key": credential(client, "signers:admin", *held)}
    asked: dict[str, Any] = {"name": name("peer"), "public_key": pem(), "any_credential": True}
    if of_the_credential is not None:
        asked |= {"credentials": [made(client, *of_the_credential)], "any_credential": False}
    answer = client.post("/signers", json=asked, headers=caller)
    assert answer.status_code == (201 if allowed else 403)
    signer = added(client, **{**asked, "name": name("other"), "public_key": pem()})["name"]
    ended = client.post(f"/signers/{signer}/revoke", headers=caller)
    assert ended.status_code == (200 if allowed else 403)
    state = ok(client.get(f"/signers/{signer}"))["state"]
    assert state == ("revoked" if allowed else "active")


def test_one_credential_among_many_is_enough_to_refuse(client: httpx.Client) -> None:
    """All of them are looked at."""
    caller = {"X-API-Key": credential(client, "signers:admin", "encrypt:*")}
    mine, other = made(client, "encrypt:*"), made(client, "decrypt:*")
    asked = {"name": name("peer"), "public_key": pem(), "credentials": [mine, other]}
    problem(client.post("/signers", json=asked, headers=caller), 403, "forbidden")


def test_changes_and_refusals_are_recorded_by_the_signer(
    client: httpx.Client, service: Running
) -> None:
    """What was asked for, by whom, and what came of it."""
    asked = {"name": name("peer"), "public_key": pem(), "any_credential": True}
    weak = credential(client, "signers:admin")
    client.post("/signers", json=asked, headers={"X-API-Key": weak})
    client.post("/signers", json=asked)
    client.post(f"/signers/{asked['name']}/revoke")
    records = query(service.home / "audit", limit=30)
    found = [
        (each["event"], each["outcome"], each["actor"])
        for each in records
        if each.get("subject") == asked["name"]
    ]
    strong = service.api_key.split("_")[1]
    assert found[::-1] == [
        ("signer.add", "forbidden", weak.split("_")[1]),
        ("signer.add", "intent", strong),
        ("signer.add", "ok", strong),
        ("signer.revoke", "intent", strong),
        ("signer.revoke", "ok", strong),
    ]
