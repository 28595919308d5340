"""Who may do what: every route to every kind of caller, and what thieves tried with old secrets."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net import initialise, open_keyring
from tests.support.answers import BEGIN, END, PAGE, Callers, operations
from tests.support.service import Running, credential, start
from tests.support.signing import Peer
from tests.test_crypto_api import HELLO, name, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KNOWN_SECONDS = 6.0  # what a process holds of the store is no older than five


def test_every_route_answers_every_caller_as_the_page_says(tmp_path: Path) -> None:
    """None, expired, former, bound and unsigned, one scope too few."""
    initialise(home=tmp_path / "home").close()
    running = start(tmp_path / "home")
    try:
        table = Callers(running).table()
    finally:
        running.stop()
    page = PAGE.read_text()
    assert page.partition(BEGIN)[2].partition(END)[0] == table, (
        "write it: python -m tests.support.answers --write"
    )
    assert table.count("\n") == len(operations()) + 2


def new(response: httpx.Response) -> Any:
    """What was made."""
    assert response.status_code == 201, response.text
    return response.json()


# A former secret ------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["*", "credentials:admin"])
def test_a_thief_with_a_former_secret_takes_nothing_over(
    client: httpx.Client, service: Running, scope: str
) -> None:
    """It rotates nobody by the route for others either, makes nobody, binds nobody, ends nobody."""
    former = credential(client, scope)
    own = former.split("_")[1]
    with service.client(former) as thief:
        newest = ok(thief.post("/credentials/self/rotate"))["api_key"]
        peer = Peer(name("thief"))
        public_key = peer.key.public.pem().decode()
        for path, body in [
            (f"/credentials/{own}/rotate", {"revoke_previous": True}),
            ("/credentials/self/rotate", {"revoke_previous": True}),
            (f"/credentials/{own}/revoke", None),
            (f"/credentials/{own}/confirm", None),
            ("/credentials", {"name": "mine", "scopes": [scope]}),
            ("/signers", {"name": peer.name, "public_key": public_key, "credentials": [own]}),
        ]:
            problem(thief.post(path, json=body), 403, "forbidden")
    with service.client(newest) as holder:
        assert ok(holder.get("/credentials/self"))["state"] == "active"
        ok(holder.post("/credentials/self/rotate"))


def test_a_former_secret_goes_on_with_data(client: httpx.Client, service: Running) -> None:
    """That is what the overlap is for."""
    former = credential(client, "encrypt:*", "decrypt:*")
    with service.client(former) as holder:
        ok(holder.post("/credentials/self/rotate"))
        message = ok(holder.post("/crypto/encrypt", json={"data": HELLO}))["ciphertext"]
        ok(holder.post("/crypto/decrypt", json={"ciphertext": message}))
        assert ok(holder.get("/credentials/self"))["previous_until"] is not None


# No more than it has --------------------------------------------------------------------------


def test_none_makes_or_takes_over_one_that_outlives_it(
    client: httpx.Client, service: Running
) -> None:
    """An administrator until tomorrow is none the day after, under no other name either."""
    lasting = credential(client, "encrypt:*").split("_")[1]
    with service.client(credential(client, "*", expires_days=2)) as admin:
        asks = {"name": "mine", "scopes": ["*"]}
        for asked in (asks, {**asks, "expires_days": 3}):
            said = problem(admin.post("/credentials", json=asked), 403, "forbidden")
            assert "outlives" in said["detail"]
        new(admin.post("/credentials", json={**asks, "expires_days": 1}))
        problem(admin.post(f"/credentials/{lasting}/rotate"), 403, "forbidden")
        peer = Peer(name("peer"))
        signer = {"name": peer.name, "public_key": peer.key.public.pem().decode()}
        for more in ({"credentials": [lasting]}, {"any_credential": True}):
            problem(admin.post("/signers", json={**signer, **more}), 403, "forbidden")


def test_one_that_is_bound_makes_none_that_is_free(client: httpx.Client, service: Running) -> None:
    """What it makes is bound as well, and works for nobody before it has a signer."""
    authority = service.url.removeprefix("http://")
    peer = Peer(name("peer"), authority=authority)
    api_key = credential(client, "*")
    free = credential(client, "encrypt:*").split("_")[1]
    signer = {"name": peer.name, "public_key": peer.key.public.pem().decode()}
    new(client.post("/signers", json={**signer, "credentials": [api_key.split("_")[1]]}))

    def post(path: str, body: Any) -> httpx.Response:
        request = httpx.Request(
            "POST", f"{service.url}{path}", json=body, headers={"X-API-Key": api_key}
        )
        with httpx.Client(timeout=30.0) as bare:
            return bare.send(peer.sign(request))

    asks = {"name": "mine", "scopes": ["encrypt:*"]}
    problem(post("/credentials", asks), 403, "forbidden")
    problem(post(f"/credentials/{free}/rotate", {}), 403, "forbidden")
    made = new(post("/credentials", {**asks, "bound": True}))
    assert made["bound"]
    with service.client(made["api_key"]) as holder:
        problem(holder.get("/credentials/self"), 401, "unauthenticated")


def test_a_scope_for_a_key_that_is_not_there_is_warned_of(client: httpx.Client) -> None:
    """The answer names it; where all are there it says nothing."""
    asks = {"name": "x", "scopes": ["encrypt:nosuchkey", "decrypt:*", "encrypt:default-encryption"]}
    (warning,) = new(client.post("/credentials", json=asks))["warnings"]
    assert "'nosuchkey'" in warning
    asks["scopes"] = ["encrypt:default-encryption", "*"]
    assert "warnings" not in new(client.post("/credentials", json=asks))


# The store in other hands ---------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Running]:
    """A service of the test's own, whose store it writes to."""
    initialise(home=tmp_path / "home").close()
    running = start(tmp_path / "home")
    yield running
    running.stop()


# What is done to a signer or the credential that it signs for.
DAMAGES = {
    "mac": "UPDATE mfn_signers SET mac = zeroblob(32) WHERE name = 'mac'",
    "gone": "DELETE FROM mfn_signers WHERE name = 'gone'",
    "freed": "UPDATE mfn_signers SET credentials = '', any_credential = 1 WHERE name = 'freed'",
    "unbound": "UPDATE mfn_credentials SET bound = NOT bound WHERE name = 'unbound';"
    "DELETE FROM mfn_signers WHERE name = 'unbound'",
}


def test_a_signers_row_that_is_damaged_or_gone_closes_its_credential(own: Running) -> None:
    """The credential is bound by its own record, and that is authenticated."""
    authority = own.url.removeprefix("http://")
    peers, keys = [Peer(each, authority=authority) for each in DAMAGES], []
    with own.client() as client:
        for peer in peers:
            made = client.post("/credentials", json={"name": peer.name, "scopes": ["encrypt:*"]})
            keys.append(new(made)["api_key"])
            signer = {"name": peer.name, "public_key": peer.key.public.pem().decode()}
            new(client.post("/signers", json={**signer, "credentials": [keys[-1].split("_")[1]]}))

    def asked(key: str) -> httpx.Request:
        return httpx.Request("GET", f"{own.url}/credentials/self", headers={"X-API-Key": key})

    with httpx.Client(timeout=30.0) as bare:
        for peer, key in zip(peers, keys, strict=True):
            ok(bare.send(peer.sign(asked(key))))
        with contextlib.closing(sqlite3.connect(own.home / "keys.db")) as database:
            database.executescript(
                f"{';'.join(DAMAGES.values())};"
                "UPDATE mfn_store_meta SET generation = generation + 1;"
                "UPDATE mfn_signers SET generation = (SELECT generation FROM mfn_store_meta);"
                "UPDATE mfn_credentials SET generation = (SELECT generation FROM mfn_store_meta);"
            )

        end = time.monotonic() + KNOWN_SECONDS
        while time.monotonic() < end:
            for key in keys:
                problem(bare.send(asked(key)), 401, "unauthenticated")
            time.sleep(0.2)
    own.stop()
    again = start(own.home, port=own.address()[1])
    try:
        with httpx.Client(timeout=30.0) as bare:
            for peer, key in zip(peers, keys, strict=True):
                problem(bare.send(asked(key)), 401, "unauthenticated")
                problem(bare.send(peer.sign(asked(key))), 401, "unauthenticated")
    finally:
        again.stop()


# One answer -----------------------------------------------------------------------------------


def test_a_bound_credential_looks_like_one_that_is_not_there(
    client: httpx.Client, service: Running
) -> None:
    """Unsigned, with a signature that is not valid, with its own secret and with a wrong one."""
    api_key = credential(client, "*")
    peer = Peer(name("peer"), authority=service.url.removeprefix("http://"))
    signer = {"name": peer.name, "public_key": peer.key.public.pem().decode()}
    new(client.post("/signers", json={**signer, "credentials": [api_key.split("_")[1]]}))
    unknown = "mfn_0000000000000000" + api_key[20:]
    wrong = api_key[:21] + "A" * 43
    stranger = Peer(peer.name, authority=peer.authority)
    answers = []
    with httpx.Client(timeout=30.0) as bare:
        for each in (api_key, wrong, unknown):
            for sign in (lambda request: request, stranger.sign):
                request = httpx.Request(
                    "GET", f"{service.url}/credentials/self", headers={"X-API-Key": each}
                )
                answer = problem(bare.send(sign(request)), 401, "unauthenticated")
                answers.append({**answer, "request_id": None})
    assert all(each == answers[0] for each in answers)


def test_readiness_tells_no_good_key_from_a_bad_one_where_requests_are_signed(
    tmp_path: Path,
) -> None:
    """Unsigned it is the status alone; who signs sees the backends."""
    home = tmp_path / "home"
    initialise(home=home).close()
    with open_keyring(home=home) as keyring:
        made, api_key = keyring.provider.credentials.create("watcher", ("metrics:read",))
        _, other = keyring.provider.credentials.create("free", ("metrics:read",))
        peer = Peer("watcher")
        keyring.provider.signers.add(peer.name, peer.public_key, credentials=(made.credential_id,))
        gate = Peer("gate")
        keyring.provider.signers.add(gate.name, gate.public_key, any_credential=True)
    running = start(home, env={"MFN_REQUEST_SIGNING": "required"})
    try:
        with httpx.Client(timeout=30.0) as bare:

            def ready(key: str, *signers: Peer) -> Any:
                request = httpx.Request(
                    "GET", f"{running.url}/health/ready", headers={"X-API-Key": key}
                )
                for each in signers:
                    each.authority = running.url.removeprefix("http://")
                    request = each.sign(request)
                return ok(bare.send(request))

            for key in (api_key.text, other.text, api_key.text[:21] + "A" * 43, "x"):
                assert ready(key) == {"status": "ready"}
                assert ready(key, Peer(peer.name)) == {"status": "ready"}
            assert "backends" in ready(api_key.text, peer)
            assert "backends" in ready(other.text, gate)
            assert ready(api_key.text, gate) == {"status": "ready"}
    finally:
        running.stop()


def test_a_key_that_is_not_accepted_is_counted_on_a_public_route_too(own: Running) -> None:
    """Whoever tries secrets on it is seen in the audit log, as elsewhere."""
    with own.client() as client:
        for _ in range(3):
            ok(client.get("/health/ready", headers={"X-API-Key": "mfn_" + "0" * 60}))
        end = time.monotonic() + KNOWN_SECONDS
        while True:
            found = ok(client.get("/audit", params={"event": "refused"}))["records"]
            counts = [count for each in found for count in each["items"].values()]
            if sum(count.get("unauthenticated", 0) for count in counts) == 3:
                break
            assert time.monotonic() < end, found
            time.sleep(0.2)


def test_an_end_is_kept_to_the_second(service: Running) -> None:
    """A credential that ends while the service runs is refused from then on."""
    with open_keyring(home=service.home) as keyring:
        ends = datetime.now(UTC) + timedelta(seconds=4)
        _, api_key = keyring.provider.credentials.create("short", ("*",), expires_at=ends)
    with service.client(api_key.text) as client:
        end = time.monotonic() + KNOWN_SECONDS
        while client.get("/credentials/self").status_code != 200:
            assert time.monotonic() < end
        time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()))
        problem(client.get("/credentials/self"), 401, "unauthenticated")
