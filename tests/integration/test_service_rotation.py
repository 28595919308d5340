"""The scheduler inside of a running service: two workers, health, metrics, audit, its end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.key_store import Database
from tests.api.test_service_health import metrics
from tests.integration.test_service_workers import until
from tests.support.records import records
from tests.support.service import Running, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx


pytestmark = pytest.mark.long


@pytest.fixture
def rotating(home: Path) -> Iterator[Running]:
    """A service of two workers that looks every second, and finds 20 keys that are due."""
    configuration = home.parent / "rotating.json"
    configuration.write_text(
        json.dumps(
            {
                "security": {
                    "key_management": {"rotation_enabled": True},
                    "tls": {"required": False},
                },
                "rotation": {"look_seconds": 1},
                "server": {"request_signing": "off"},
            }
        )
    )
    with initialise(home=home) as keyring:
        provider = keyring.provider
        provider.clock = lambda: datetime.now(UTC) - timedelta(days=400)
        for number in range(20):
            provider.keys.create(f"old-{number:02}")
    running = start(home, "--workers", "2", env={"MFN_CONFIG": str(configuration)})
    yield running
    assert running.stop() == 0


def _newest(client: httpx.Client, key_id: str) -> int:
    return int(client.get(f"/keys/{key_id}").json()["minimum_versions"]["latest"])


def test_the_service_rotates_what_is_due_once_however_many_workers_it_has(
    rotating: Running, home: Path
) -> None:
    """Health and metrics say how it goes, the audit log who did it, and the end is a clean one."""
    with rotating.client() as client:
        until(lambda: all(_newest(client, f"old-{n:02}") == 2 for n in range(20)))
        sealed = client.post("/crypto/encrypt", json={"data": "aGk=", "key_id": "old-00"}).json()
        assert sealed["key_id"] == "old-00:v2"
        assert client.get("/health/ready").json()["backends"]["rotation"] == "ok"
        until(lambda: metrics(client)['mfn_rotations_total{outcome="ok"}'] == 20)
        shown = metrics(client)
        assert shown["mfn_keys_overdue"] == 0
        assert 0 <= shown["mfn_rotation_look_age_seconds"] < 20
        assert all(_newest(client, f"old-{n:02}") == 2 for n in range(20))
    assert rotating.stop() == 0
    told = [each for each in records(home / "audit") if each["event"] == "key.rotate"]
    intents = [each for each in told if each["outcome"] == "intent"]
    assert {(each["actor"], each["reason"]) for each in intents} == {("scheduler", "due")}
    done = sorted(each["key"] for each in told if each["outcome"] == "ok")
    assert done == [f"old-{n:02}:v2" for n in range(20)]


def test_a_key_that_cannot_be_rotated_is_shown_and_the_service_goes_on(
    rotating: Running, home: Path
) -> None:
    """A record that was edited fails; everything else is served, and rotated."""
    from sqlalchemy import text

    database = Database(load_settings(home=home, environ={}).store)
    with rotating.client() as client:
        until(lambda: _newest(client, "old-19") == 2)
        with database.write() as connection:
            connection.execute(text("UPDATE mfn_keys SET automatic = 0 WHERE key_id = 'old-07'"))
        database.close()
        # What nobody said is seen within the hour, and at once where the store changes.
        assert client.post("/keys", json={"key_id": "new"}).status_code == 201
        until(lambda: metrics(client)["mfn_keys_overdue"] == 1)
        answer = client.get("/health/ready")
        assert answer.status_code == 200
        until(lambda: client.get("/health/ready").json()["backends"]["rotation"] == "failing")
        assert client.post("/crypto/encrypt", json={"data": "aGk="}).status_code == 200
