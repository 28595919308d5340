"""Health, metrics, audit records over HTTP; paths and methods that are not there; problems."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.api.http.problems import KINDS, body_of
from mycelium_fractal_net.security import errors
from mycelium_fractal_net.security.errors import kind_of
from tests.api.test_openapi import DOCUMENT, OPERATIONS
from tests.support.service import Running, credential, start
from tests.test_crypto_api import HELLO, key, name, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

SUMMED_SECONDS = 3.0  # strangers' refusals are summed up once a second
NEVER_SERVED = (errors.ConfigurationError, errors.ServiceError, errors.DatabaseUnavailableError)


# Health ---------------------------------------------------------------------------------------


def test_anybody_learns_whether_it_lives_and_serves(service: Running) -> None:
    """And nothing more, with a key that is not accepted either."""
    with service.client("") as stranger:
        assert ok(stranger.get("/health/live")) == {"status": "ok"}
        for headers in ({}, {"X-API-Key": "nonsense"}):
            assert ok(stranger.get("/health/ready", headers=headers)) == {"status": "ready"}


def test_what_is_wrong_is_told_to_who_may_read_metrics(client: httpx.Client) -> None:
    """Each backend and its state."""
    for scope, told in (("metrics:read", True), ("*", True), ("keys:read", False)):
        headers = {"X-API-Key": credential(client, scope)}
        answer = ok(client.get("/health/ready", headers=headers))
        assert answer["status"] == "ready"
        assert answer.get("backends") == ({"key-store": "ok", "audit": "ok"} if told else None)


# Metrics --------------------------------------------------------------------------------------


def metrics(client: httpx.Client) -> dict[str, float]:
    """Every sample by its name and labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = (line for line in answer.text.splitlines() if not line.startswith("#"))
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_metrics_count_requests_by_operation_and_status(client: httpx.Client) -> None:
    """Answers, refusals, their times, and the items of batches."""
    before = metrics(client)
    ok(client.post("/crypto/encrypt", json={"data": HELLO}))
    client.post("/crypto/encrypt", json={})
    items = [{"data": HELLO}, {"data": HELLO, "key_id": name()}]
    ok(client.post("/crypto/encrypt/batch", json={"items": items}))
    client.get("/keys", headers={"X-API-Key": ""})
    after = metrics(client)
    for sample in (
        'mfn_requests_total{operation="encrypt",status="200"}',
        'mfn_requests_total{operation="encrypt",status="422"}',
        'mfn_requests_total{operation="key.list",status="401"}',
        'mfn_items_total{operation="encrypt.batch",outcome="ok"}',
        'mfn_items_total{operation="encrypt.batch",outcome="not-found"}',
    ):
        assert after[sample] == before.get(sample, 0) + 1, sample
    seconds = 'mfn_request_seconds_count{operation="encrypt"}'
    assert after[seconds] == before.get(seconds, 0) + 2
    assert after["mfn_audit_healthy"] == 1
    assert 0 <= after["mfn_store_read_age_seconds"] < 5


def test_connections_are_counted_while_they_are_open(
    client: httpx.Client, service: Running
) -> None:
    """Those too that have asked for nothing yet."""
    before = metrics(client)["mfn_connections"]
    assert before >= 1
    with contextlib.ExitStack() as opened:
        for _ in range(5):
            opened.enter_context(socket.create_connection(service.address()))
        while metrics(client)["mfn_connections"] != before + 5:
            time.sleep(0.02)
    while metrics(client)["mfn_connections"] != before:
        time.sleep(0.02)


def test_metrics_name_no_key_and_no_caller(client: httpx.Client) -> None:
    """They are read by more people than may see either."""
    key_id = key(client)
    ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    text = client.get("/metrics").text
    assert key_id not in text
    assert ok(client.get("/credentials/self"))["id"] not in text


def test_metrics_are_a_scope_of_their_own(client: httpx.Client) -> None:
    """Which nothing else contains but all."""
    for scope, status in (("metrics:read", 200), ("keys:admin", 403), ("audit:read", 403)):
        headers = {"X-API-Key": credential(client, scope)}
        assert client.get("/metrics", headers=headers).status_code == status


# Audit records --------------------------------------------------------------------------------


def records(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    found = ok(client.get("/audit", params=query))["records"]
    assert isinstance(found, list)
    return found


def test_a_use_is_recorded_before_its_answer(client: httpx.Client) -> None:
    """Who, what, with which version, under which request; and nothing of what it was done to."""
    key_id = key(client)
    asked = {"data": HELLO, "key_id": key_id, "reference": "order 17"}
    answer = client.post("/crypto/encrypt", json=asked)
    record = records(client, key=f"{key_id}:v1", event="encrypt")[0]
    assert record.pop("chain")
    assert record.pop("sequence") > 0
    assert record.pop("time").endswith("Z")
    assert record == {
        "event": "encrypt",
        "outcome": "ok",
        "key": f"{key_id}:v1",
        "actor": ok(client.get("/credentials/self"))["id"],
        "request": answer.headers["x-request-id"],
        "reference": "order 17",
    }


def test_a_refusal_is_recorded_with_who_was_refused(client: httpx.Client) -> None:
    """And with the problem's name; the key is the one that was asked for."""
    mine = client.post("/credentials", json={"name": "n", "scopes": ["encrypt:mine"]}).json()
    absent = name()
    asked = {"data": HELLO, "key_id": absent}
    headers = {"X-API-Key": mine["api_key"]}
    problem(client.post("/crypto/encrypt", json=asked, headers=headers), 404, "not-found")
    problem(client.get("/audit", headers=headers), 403, "forbidden")
    found = records(client, actor=mine["id"])
    assert [(each["event"], each["outcome"]) for each in found] == [
        ("audit.read", "forbidden"),
        ("encrypt", "not-found"),
    ]
    assert found[1]["key"] == absent


def test_a_batch_is_one_record_that_counts(client: httpx.Client) -> None:
    """Its items by version and outcome; a key's records find the batches it was used in."""
    one, two = key(client), key(client)
    ok(client.post(f"/keys/{two}/rotate"))
    items = [{"data": HELLO, "key_id": each} for each in (one, one, two)]
    items.append({"data": "no base64", "key_id": one})
    ok(client.post("/crypto/encrypt/batch", json={"items": items}))
    found = [records(client, key=each, event="encrypt.batch") for each in (one, two, f"{two}:v2")]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 1
    assert found[0][0]["items"] == {
        f"{one}:v1": {"ok": 2}, f"{two}:v2": {"ok": 1}, one: {"invalid": 1},
    }  # fmt: skip


def test_strangers_are_summed_up(client: httpx.Client) -> None:
    """By reason; not one record each, with which they could fill the disk."""
    before = sum(_unauthenticated(each) for each in records(client, event="refused", limit=1000))
    for _ in range(30):
        problem(client.get("/keys", headers={"X-API-Key": "no"}), 401, "unauthenticated")
    deadline = time.monotonic() + SUMMED_SECONDS
    while True:
        found = records(client, event="refused", limit=1000)
        if sum(map(_unauthenticated, found)) >= before + 30:
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert max(map(_unauthenticated, found)) > 5


def _unauthenticated(record: dict[str, Any]) -> int:
    return sum(outcomes.get("unauthenticated", 0) for outcomes in record["items"].values())


def test_records_are_found_by_time_and_number(client: httpx.Client) -> None:
    """Newest first, both ends included."""
    key_id = key(client)
    for _ in range(3):
        ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    found = records(client, key=key_id, event="encrypt")
    times = [each["time"] for each in found]
    assert len(times) == 3
    assert times == sorted(times, reverse=True)
    assert records(client, key=key_id, event="encrypt", limit=2) == found[:2]
    assert records(client, key=key_id, event="encrypt", since=times[1]) == found[:2]
    assert records(client, key=key_id, event="encrypt", until=times[1]) == found[1:]
    assert records(client, event="enc") == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "since=yesterday", "since=2026-01-01T00:00:00%2B01:00", "key=%00", "event=a%0Ab",
     "actor=A", "unknown=1", "key=orders&key=orders", "key=Orders"],
)  # fmt: skip
def test_a_query_of_records_is_read_strictly(client: httpx.Client, query: str) -> None:
    """As every other."""
    assert client.get(f"/audit?{query}").status_code in (400, 422)


# Paths and methods that are not there ---------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_another_method_is_405_with_those_there_are(client: httpx.Client, path: str) -> None:
    """As a problem, with `Allow`; also for who has no API key."""
    allow = {name.split(" ")[0] for name in OPERATIONS if name.split(" ")[1] == path}
    at = path.replace("{key_id}", "orders").replace("{credential_id}", "aaaaaaaaaaaaaaaa")
    for method in ("PUT", "DELETE", "OPTIONS", "QUERY"):
        answer = client.request(method, at, headers={"X-API-Key": ""})
        problem(answer, 405, "method-not-allowed")
        assert set(answer.headers["allow"].split(", ")) == allow


@pytest.mark.parametrize(
    "path",
    ["/", "/crypto", "/crypto/encrypt/", "/keys/", "/Keys", "/keys/a/b/c", "/redoc", "/admin",
     "/keys/orders/vaporise"],
)  # fmt: skip
def test_a_path_that_is_not_there_is_a_problem(client: httpx.Client, path: str) -> None:
    """With the headers of every answer; none leads to another by a redirect."""
    for method in ("GET", "POST"):
        answer = client.request(method, path)
        problem(answer, 404, "not-found")
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["cache-control"] == "no-store"


# The table of problems ------------------------------------------------------------------------


def every_error(root: type[errors.MfnError] = errors.MfnError) -> Iterator[type[errors.MfnError]]:
    for each in root.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each
        yield from every_error(each)


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: error.__name__)
def test_every_error_of_the_library_has_its_problem(error: type[errors.MfnError]) -> None:
    """But those of the configuration, of a column of another database, and of the client."""
    one = error.__new__(error)
    kind = kind_of(one)
    if issubclass(error, NEVER_SERVED):
        assert kind.slug == "unexpected"
    else:
        assert kind.slug != "unexpected"
        assert kind.status != 500 or issubclass(error, errors.StoreIntegrityError)
    assert KINDS[kind.slug][:5] == kind[:5]  # what is shown over HTTP


def test_an_outage_never_looks_like_tampering() -> None:
    """Nor like a key that is not there."""
    for error in (
        errors.StoreUnavailableError,
        errors.MasterKeyError,
        errors.AuditUnavailableError,
    ):
        kind = kind_of(error("x"))
        assert kind.status == 503
        assert kind.retry_after is not None
    assert kind_of(errors.StoreIntegrityError("x")).status == 500


@pytest.mark.parametrize(
    "error",
    [ValueError("the secret"), errors.StoreIntegrityError("the secret"),
     errors.StoreUnavailableError("the secret"), errors.KeyNotFoundError("the secret"),
     errors.MasterKeyError("the secret")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_is_wrong_inside_is_not_told_outside(error: Exception) -> None:
    """Nor which of absent and forbidden it was."""
    assert "the secret" not in json.dumps(body_of(error))


# Switched off, and in production --------------------------------------------------------------


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service without cryptography."""
    home = tmp_path_factory.mktemp("off") / "home"
    initialise(home=home).close()
    running = start(home, env={"MFN_CRYPTO_ENABLED": "false"})
    yield running
    assert running.stop() == 0


def test_without_cryptography_every_route_answers_503(off: Running) -> None:
    """Whoever asks, whatever is asked; nothing passes through."""
    with off.client("") as client:
        assert ok(client.get("/health/live")) == {"status": "ok"}
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "unavailable"})
        octets = {"Content-Type": "application/octet-stream"}
        for each in OPERATIONS:
            method, path = each.split(" ")
            if path.startswith("/health/"):
                continue
            at = path.replace("{key_id}", "orders").replace("{credential_id}", "self")
            for api_key in ({}, {"X-API-Key": f"mfn_{'a' * 16}_{'A' * 43}"}):
                for options in ({"json": {"data": HELLO}}, {"content": b"x", "headers": octets}):
                    body: dict[str, Any] = options if method == "POST" else {}
                    headers = {**api_key, **body.get("headers", {})}
                    answer = client.request(method, at, **{**body, "headers": headers})
                    problem(answer, 503, "disabled")
                    assert HELLO not in answer.text


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service in production, with shorter bounds."""
    folder = tmp_path_factory.mktemp("production")
    initialise(home=folder / "home").close()
    config = folder / "config.json"
    server = {
        "production": True,
        "request_signing": "off",
        "trusted_proxies": ["127.0.0.1"],
        "max_body_bytes": 2048,
        "max_batch_items": 3,
    }
    config.write_text(json.dumps({"server": server}))
    running = start(folder / "home", env={"MFN_CONFIG": str(config)})
    yield running
    assert running.stop() == 0


def test_the_documentation_is_off_in_production(production: Running, client: httpx.Client) -> None:
    """The pages and the document; elsewhere they are there for anybody."""
    with production.client() as inside:
        for path in ("/docs", "/openapi.json", "/redoc", "/docs/oauth2-redirect"):
            problem(inside.get(path), 404, "not-found")
        ok(inside.post("/crypto/encrypt", json={"data": HELLO}))
    assert client.get("/docs", headers={"X-API-Key": ""}).status_code == 200


def test_the_bounds_are_settings(production: Running) -> None:
    """Of a body, declared or not, and of a batch."""

    def chunks() -> Iterator[bytes]:
        yield from [b'{"data": "' + b"A" * 1000] * 9

    headers = {"Content-Type": "application/json"}
    with production.client() as client:
        for content in (b" " * 2049, chunks()):
            answer = client.post("/crypto/encrypt", content=content, headers=headers)
            problem(answer, 413, "too-large")
        fits = b'{"data": ""}'.ljust(2048)
        ok(client.post("/crypto/encrypt", content=fits, headers=headers))
        for count, status in ((3, 200), (4, 413)):
            asked = {"items": [{"data": HELLO}] * count}
            assert client.post("/crypto/encrypt/batch", json=asked).status_code == status
