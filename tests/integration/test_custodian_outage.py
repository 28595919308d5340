"""A service and a command line whose custodian is slow, fails, refuses, and comes back."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text

from mycelium_fractal_net import initialise
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.errors import ExitCode
from tests.support.cli import environment
from tests.support.custodian import NAME, registered
from tests.support.service import Running, b64, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
MODULE = "tests.support.custodian"


@dataclass
class Far:
    """A home folder whose master key is on that machine, and a service over it."""

    home: Path
    config: Path

    def is_now(self, mode: str) -> None:
        """Change how the machine is."""
        (self.home / "elsewhere" / "mode").write_text(mode)

    def mfn(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``mfn`` over it."""
        return subprocess.run(
            [sys.executable, "-m", MODULE, "--home", str(self.home), *arguments],
            env=environment({"MFN_CONFIG": str(self.config)}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def serve(self, **popen: Any) -> Running:
        """A service over it."""
        env = {"MFN_CONFIG": str(self.config)}
        return start(self.home, env=env, module=MODULE, cwd=ROOT, **popen)


@pytest.fixture(params=[3600])
def far(tmp_path: Path, request: pytest.FixtureRequest) -> Far:
    """An initialised store with the keys orders and cold, cached for a second."""
    config = tmp_path / "mfn.json"
    management = {"provider": NAME, "outage_seconds": request.param}
    config.write_text(
        json.dumps(
            {
                "keyring": {"cache_seconds": 1},
                "server": {"request_signing": "off"},
                "security": {"key_management": management, "tls": {"required": False}},
            }
        )
    )
    home = tmp_path / "home"
    settings = load_settings(config, home=home)
    with registered(), initialise(settings=settings, create_key=True) as keyring:
        keyring.provider.keys.create("orders")
        keyring.provider.keys.create("cold")
    return Far(home, config)


@pytest.fixture
def served(far: Far) -> Iterator[httpx.Client]:
    """A client of a service over it, which has used the key orders."""
    running = far.serve()
    with running.client() as client:
        assert encrypt(client).status_code == 200
        yield client
    assert running.stop() == 0


def encrypt(client: httpx.Client, key: str = "orders") -> httpx.Response:
    return client.post("/crypto/encrypt", json={"key_id": key, "data": b64(b"data")})


def steadily(client: httpx.Client, seconds: float) -> set[int]:
    """The statuses of traffic that goes on for so long."""
    end, seen = time.monotonic() + seconds, set()
    while time.monotonic() < end:
        seen.add(encrypt(client).status_code)
        time.sleep(0.05)
    return seen


def test_steady_traffic_outlasts_an_outage_and_a_cold_key_is_503(
    far: Far, served: httpx.Client
) -> None:
    """With a time to come back after; and all is well once the machine answers again."""
    far.is_now("down")
    assert steadily(served, 3.0) == {200}
    refused = encrypt(served, "cold")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["type"].endswith("custodian-unavailable")
    assert "secret" not in refused.text
    far.is_now("up")
    time.sleep(0.6)  # until it is asked again
    assert encrypt(served, "cold").status_code == 200
    assert encrypt(served).status_code == 200


def test_an_outage_is_seen_in_log_health_and_metrics(far: Far, tmp_path: Path) -> None:
    """One line for it and one when it ends, however many requests fail; ready all the while."""
    said = tmp_path / "stderr"
    with said.open("wb") as stderr:
        running = far.serve(stderr=stderr)
    with running.client() as client:
        encrypt(client)
        far.is_now("down")
        assert {encrypt(client, "cold").status_code for _ in range(20)} == {503}
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["backends"]["custodian"]) == (200, "riding-out")
        time.sleep(1.1)  # until states are noted
        shown = client.get("/metrics").text
        assert 'mfn_custodian_calls_total{call="unwrap",outcome="unavailable"}' in shown
        assert 'mfn_custodian_calls_total{call="unwrap",outcome="not-asked"}' in shown
        assert "mfn_custodian_breaker_open 1.0" in shown
        far.is_now("up")
        time.sleep(0.6)
        assert encrypt(client, "cold").status_code == 200
        assert client.get("/health/ready").json()["backends"]["custodian"] == "ok"
    assert running.stop() == 0
    lines = [line for line in said.read_text().splitlines() if "custodian" in line]
    assert len(lines) == 2, lines
    assert "the custodian does not answer (ConnectionRefusedError)" in lines[0]
    assert "answers again" in lines[1]


def test_100_000_operations_ask_for_a_key_a_few_times(served: httpx.Client) -> None:
    """Though it is cached for a second alone; of one worker, start included."""
    items = [{"key_id": "orders", "data": b64(b"data")}] * 1000
    for _ in range(100):
        answer = served.post("/crypto/encrypt/batch", json={"items": items})
        assert all("error" not in each for each in answer.json()["items"])
    time.sleep(1.1)  # until the last are noted
    shown = served.get("/metrics").text
    calls = re.findall(r"^mfn_custodian_calls_total{.*} (.*)$", shown, re.MULTILINE)
    assert 2 < sum(map(float, calls)) < 20, shown


def test_a_compromise_reaches_another_service_within_5_seconds_in_an_outage(far: Far) -> None:
    """What a key may do is the store's to say, and both still read that."""
    services = [far.serve(), far.serve()]
    with services[0].client() as first, services[1].client() as second:
        sealed = encrypt(first).json()["ciphertext"]
        opened = {"ciphertext": sealed}
        for client in (first, second):
            assert client.post("/crypto/decrypt", json=opened).status_code == 200
        far.is_now("down")
        time.sleep(1.1)  # beyond what is cached
        assert second.post("/crypto/decrypt", json=opened).status_code == 200
        assert first.post("/keys/orders:v1/compromise").status_code == 200
        begun = time.monotonic()
        while second.post("/crypto/decrypt", json=opened).status_code == 200:
            assert time.monotonic() - begun < 5.0
            time.sleep(0.05)
        assert second.post("/crypto/decrypt", json=opened).status_code == 409
        assert encrypt(second).status_code == 409
    for service in services:
        assert service.stop() == 0


@pytest.mark.parametrize("far", [2], indirect=True)
def test_an_outage_that_is_longer_than_configured_is_503(far: Far, served: httpx.Client) -> None:
    """``key_management.outage_seconds``, and the second that a key is cached."""
    far.is_now("down")
    assert steadily(served, 6.0) == {200, 503}
    assert encrypt(served).status_code == 503
    far.is_now("up")
    time.sleep(0.6)
    assert encrypt(served).status_code == 200


def test_a_custodian_that_is_late_is_an_outage(far: Far, served: httpx.Client) -> None:
    """The answer comes within the deadline, whatever the other side does."""
    far.is_now("30")
    begun = time.monotonic()
    refused = encrypt(served, "cold")
    assert refused.status_code == 503
    assert time.monotonic() - begun < 10
    assert encrypt(served).status_code == 200


def test_a_refusal_is_told_from_an_outage_and_ends_the_traffic(
    far: Far, served: httpx.Client
) -> None:
    """Nobody is asked to try again, and what is cached serves no longer than ever."""
    far.is_now("denied")
    assert steadily(served, 3.0) == {200, 502}
    refused = encrypt(served)
    assert (refused.status_code, "retry-after" in refused.headers) == (502, False)
    assert refused.json()["type"].endswith("custodian-denied")
    far.is_now("up")
    assert encrypt(served).status_code == 200


@pytest.mark.parametrize(
    ("mode", "code", "what", "advice"),
    [
        ("down", ExitCode.STORE, "does not answer", "try again"),
        ("nonsense", ExitCode.STORE, "cannot be used", "try again"),
        ("30", ExitCode.STORE, "within 1 second", "try again"),
        ("denied", ExitCode.STORE, "the key is disabled", "permissions"),
    ],
)
def test_the_command_line_says_what_it_is_and_what_to_do(
    far: Far, mode: str, code: ExitCode, what: str, advice: str
) -> None:
    """One line, whatever it is; and nothing is done."""
    far.is_now(mode)
    ran = far.mfn("key", "rotate", "orders")
    assert (ran.returncode, ran.stderr.count("\n")) == (code, 1)
    assert what in ran.stderr
    assert advice in ran.stderr
    assert "secret" not in ran.stderr
    far.is_now("up")


def test_an_edited_row_is_no_outage_on_the_command_line(far: Far) -> None:
    """It is the third of three errors, and doctor looks closer."""
    engine = create_engine(f"sqlite:///{far.home / 'keys.db'}")
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE mfn_key_versions SET wrapped = (SELECT wrapped FROM mfn_key_versions"
                " WHERE key_id = 'cold') WHERE key_id = 'orders'"
            )
        )
    engine.dispose()
    (far.home / "plain").write_bytes(b"data")
    ran = far.mfn("encrypt", "-k", "orders", str(far.home / "plain"))
    assert ran.returncode == ExitCode.STORE
    assert "does not unwrap" in ran.stderr
    assert "mfn doctor" in ran.stderr


def test_doctor_of_a_far_master_key_knows_no_file_of_it(far: Far) -> None:
    """It asks the custodian; where that does not answer, it says so."""
    ran = far.mfn("doctor", "--json")
    assert {each["check"] for each in json.loads(ran.stdout)} <= {
        "no-backup",
        "iterations",
        "store-id",
    }
    far.is_now("down")
    (found,) = json.loads(far.mfn("doctor", "--json").stdout)
    assert (found["severity"], found["check"]) == ("critical", "custodian")
    assert "does not answer" in found["advice"]
    assert "try again" in found["advice"]
    far.is_now("denied")
    (found,) = json.loads(far.mfn("doctor", "--json").stdout)
    assert (found["severity"], found["check"]) == ("critical", "custodian")
    assert "the key is disabled. see to its permissions" in found["advice"]


def test_init_makes_what_is_missing_and_never_over_a_store_that_is_begun(far: Far) -> None:
    """Neither with another id nor with another key is it said that all is there."""
    assert far.mfn("init").returncode == 0
    file = far.home / "store-id"
    kept = file.read_text()
    file.unlink()
    ran = far.mfn("init", "--create-key")
    assert ran.returncode == ExitCode.STORE
    assert "the id of the key store is not known here" in ran.stderr
    assert not file.exists()
    file.write_text(kept)
    (far.home / "elsewhere" / "kek").write_bytes(bytes(32))
    ran = far.mfn("init")
    assert ran.returncode == ExitCode.STORE
    assert "the authority key does not unwrap" in ran.stderr


def test_a_passphrase_is_the_local_custodians_alone(far: Far) -> None:
    """Elsewhere others guard the master key."""
    ran = far.mfn("master", "passphrase", "--remove")
    assert ran.returncode == ExitCode.CONFIGURATION
    assert "kept by another" in ran.stderr
    ran = far.mfn("master", "rotate")
    assert ran.returncode == ExitCode.CONFIGURATION
