"""RateLimits over HTTP: of credentials and of addresses, of requests and of items."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net import initialise
from tests.integration.test_service_start import refusal
from tests.support.records import records
from tests.support.redis import redis_server
from tests.support.service import Running, b64, credential, start

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.long

BODY = {"data": b64(b"hello")}


def begun(folder: Path, *arguments: str, **server: Any) -> Running:
    """A service with those limits, and the first key, which the limits are for too."""
    initialise(home=folder / "home").close()
    settings = {
        "security": {"tls": {"required": False}},
        "server": {"request_signing": "off", "production": False, **server},
    }
    (folder / "config.json").write_text(json.dumps(settings))
    return start(folder / "home", *arguments, env={"MFN_CONFIG": str(folder / "config.json")})


def check_refused(answer: httpx.Response) -> None:
    """429, a problem, and when to come again."""
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/too-many-requests"
    assert 1 <= int(answer.headers["retry-after"]) <= 3600


def test_a_credential_makes_no_more_requests_than_it_may(tmp_path: Path) -> None:
    """Others go on, and what was refused has its audit record."""
    service = begun(tmp_path, requests_per_credential="20/hour")
    try:
        with service.client() as client:
            narrow = credential(client, "encrypt:*")
            with service.client(narrow) as other:
                statuses = [other.post("/crypto/encrypt", json=BODY).status_code for _ in range(25)]
                assert statuses == [200] * 20 + [429] * 5
                check_refused(other.post("/crypto/encrypt", json=BODY))
                octets = {"Content-Type": "application/octet-stream"}
                check_refused(other.post("/crypto/encrypt/stream", content=b"x", headers=octets))
                assert other.get("/health/live").status_code == 200
            assert client.post("/crypto/encrypt", json=BODY).status_code == 200
        assert service.stop() == 0
    finally:
        service.kill()
    found = records(service.home / "audit", event="encrypt")
    assert sum(each["outcome"] == "too-many-requests" for each in found) == 7


def test_an_address_makes_no_more_requests_than_it_may(tmp_path: Path) -> None:
    """Whatever it asks, and whoever it is; a trusted proxy speaks for many."""
    service = begun(
        tmp_path, requests_per_address="20/hour", trusted_proxies=["127.0.0.1", "127.0.0.9"]
    )
    try:
        url = f"{service.url}/health/live"
        for forwarded in ({"X-Forwarded-For": "203.0.113.1"}, {"Forwarded": "for=203.0.113.2"}):
            statuses = [httpx.get(url, headers=forwarded).status_code for _ in range(25)]
            assert statuses == [200] * 20 + [429] * 5
            check_refused(httpx.get(f"{service.url}/nothing", headers=forwarded))
        transport = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(transport=transport) as stranger:
            statuses = [
                stranger.get(url, headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code
                for n in range(3, 28)
            ]
        assert statuses == [200] * 20 + [429] * 5
    finally:
        service.kill()


def test_items_of_batches_are_counted_each(tmp_path: Path) -> None:
    """A batch with more than are left is refused as a whole, and nothing of it is done."""
    service = begun(tmp_path, items_per_credential="100/hour")
    try:
        with service.client() as client:
            batch = {"items": [BODY] * 30}
            for _ in range(3):
                assert client.post("/crypto/encrypt/batch", json=batch).status_code == 200
            check_refused(client.post("/crypto/encrypt/batch", json=batch))
            assert client.post("/crypto/encrypt", json=BODY).status_code == 200
            ready = client.get("/health/ready").json()
            assert ready["backends"]["rates"] == "ok"
    finally:
        service.kill()


def test_workers_count_together_in_redis(tmp_path: Path) -> None:
    """Also while they are restarted; where Redis is gone they go on, each by itself."""
    with redis_server(tmp_path) as port:
        service = begun(
            tmp_path,
            "--workers",
            "2",
            requests_per_credential="60/hour",
            rate_limit_storage=f"redis://127.0.0.1:{port}/0",
        )
        try:
            statuses = []
            for _ in range(80):
                with service.client() as client:
                    statuses.append(client.post("/crypto/encrypt", json=BODY).status_code)
            assert statuses == [200] * 60 + [429] * 20
            with service.client() as client:
                check_refused(client.post("/crypto/encrypt", json=BODY))
        except BaseException:
            service.kill()
            raise
    try:
        with httpx.Client(base_url=service.url) as client:
            assert client.get("/health/ready").status_code == 200
        assert service.stop() == 0
    finally:
        service.kill()


@pytest.mark.parametrize(
    ("server", "named"),
    [
        ({"requests_per_address": "1/minute", "rate_limit_storage": "memcached://a"}, "storage"),
        ({"trusted_proxies": ["proxy.example"]}, "server.trusted_proxies"),
        ({"requests_per_address": "often"}, "server.requests_per_address"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_served(
    tmp_path: Path, home: Path, server: dict[str, Any], named: str
) -> None:
    """In one line."""
    initialise(home=home).close()
    (tmp_path / "config.json").write_text(
        json.dumps({"server": server, "security": {"tls": {"required": False}}})
    )
    code, said = refusal(home, "--config", str(tmp_path / "config.json"), "serve", "--port", "0")
    assert code == 3
    assert named in said
