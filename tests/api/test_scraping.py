"""`/metrics` under the shipped configurations that ask for signatures, for Prometheus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.api.application import create_app
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.errors import ConfigurationError
from tests.support.service import start
from tests.support.signing import Peer
from tests.support.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.service import Running

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module", params=["prod", "staging"])
def shipped(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, str, str]]:
    """A service by a shipped configuration with a certificate, a scraper's key and a bound one."""
    folder = tmp_path_factory.mktemp("scraped")
    home, authority, peer = folder / "home", Authority(), Peer("peer")
    authority.issue().write(folder)
    settings = json.loads((CONFIGS / f"{request.param}.json").read_text())
    settings["security"]["tls"] |= {
        "certificate": str(folder / "server.pem"), "private_key": str(folder / "server.key"),
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    with initialise(home=home) as keyring:
        credentials = keyring.provider.credentials
        _, scraper = credentials.create("prometheus", ("metrics:read",))
        bound, of_bound = credentials.create("bound", ("metrics:read",))
        keyring.provider.signers.add("peer", peer.public_key, credentials=(bound.credential_id,))
    env = {"MFN_CONFIG": str(folder / "settings.json")}
    running = start(home, env=env, verify=authority.trusted())
    yield running, scraper.text, of_bound.text
    assert running.stop() == 0


def asked(running: Running, path: str = "/metrics", **headers: str) -> httpx.Response:
    with running.client("") as client:
        return client.get(path, headers=headers)


def test_prometheus_reads_the_metrics(shipped: tuple[Running, str, str]) -> None:
    """With its API key as the `Authorization: Bearer` that it knows, or as ours."""
    running, scraper, _ = shipped
    for headers in (
        {"Authorization": f"Bearer {scraper}"}, {"authorization": f"bearer  {scraper}"},
        {"X-API-Key": scraper},
    ):  # fmt: skip
        answer = asked(running, **headers)
        assert answer.status_code == 200, answer.text
        assert "mfn_requests_total" in answer.text


def test_an_api_key_is_asked_for_all_the_same(shipped: tuple[Running, str, str]) -> None:
    """None, one of another scheme, or two; and one that a signer binds needs its signature."""
    running, scraper, bound = shipped
    for headers, status in (
        ({}, 401),
        ({"Authorization": f"Basic {scraper}"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": f"Bearer {scraper}", "X-API-Key": scraper}, 400),
        ({"Authorization": f"Bearer {bound}"}, 401),
        ({"X-API-Key": bound}, 401),
    ):
        assert asked(running, **headers).status_code == status, headers


def test_no_other_route_goes_unsigned_or_takes_a_bearer(shipped: tuple[Running, str, str]) -> None:
    """The policy of the service is as before."""
    running, scraper, _ = shipped
    assert asked(running, "/keys", **{"X-API-Key": scraper}).json()["status"] == 401
    assert asked(running, "/metrics/", **{"X-API-Key": scraper}).status_code in (401, 404)
    with running.client("") as client:
        posted = client.post("/metrics", headers={"X-API-Key": scraper})
    assert posted.json()["type"] == "/problems/request-signature"


def test_an_unsigned_route_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    """It would be believed to be unsigned, or to be guarded."""
    (tmp_path / "c.json").write_text('{"server": {"unsigned_routes": ["GET /metric"]}}')
    settings = load_settings(tmp_path / "c.json", home=tmp_path, environ={})
    with pytest.raises(ConfigurationError, match="unsigned_routes"):
        create_app(settings)
