"""The plan's integration test: the master key in Vault, in AWS KMS and on an HSM, each for real."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.key_providers import KeyProvider
from tests.support.custodians import IN_FULL, harness
from tests.support.custodians.place import Place
from tests.support.service import b64, unb64

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("provider", [each for each in IN_FULL if each.values != ("local",)])
def test_a_service_encrypts_under_a_master_key_that_it_never_has(
    tmp_path: Path, provider: str
) -> None:
    """Set up by ``mfn init``, used by the library, the service and a restart of it."""
    place = Place.of(tmp_path / "home", harness(provider))
    place.ok("--quiet", "init")  # as make run does
    place.ok("--quiet", "init")
    place.ok("key", "create", "orders")
    with place.open() as keyring:
        found = keyring.provider
        assert isinstance(found, KeyProvider)
        assert type(found).__module__.startswith(
            f"mycelium_fractal_net.security.key_providers.{provider.replace('-', '_')}"
        )
        assert len(found.get_key("orders")) == 32
        assert found.rotate_key("orders") == "orders:v2"
        before = keyring.encrypt(b"before", key_id="orders")
    message = b64(before)
    for _ in range(2):
        running = place.serve()
        try:
            with running.client() as client:
                opened = client.post("/crypto/decrypt", json={"ciphertext": message})
                assert (opened.status_code, unb64(opened.json()["data"])) == (200, b"before")
                sealed = client.post(
                    "/crypto/encrypt", json={"key_id": "orders", "data": b64(b"before")}
                )
                assert sealed.status_code == 200
                message = sealed.json()["ciphertext"]
                assert client.get("/health/ready").status_code == 200
        finally:
            assert running.stop() == 0
