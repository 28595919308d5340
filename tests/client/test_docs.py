"""What docs/client.md shows works as it stands there, against the real service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import client as package
from mycelium_fractal_net.client import (
    AsyncClient,
    AsyncDeterministicLease,
    AsyncIndexLease,
    AsyncLease,
    Client,
    DeterministicLease,
    IndexLease,
    Lease,
)
from tests.support.service import credential

if TYPE_CHECKING:
    import httpx

    from tests.support.service import Running

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_python_of_the_page_runs(
    client: httpx.Client, service: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pasted one block after the other, with an address and an API key."""
    monkeypatch.chdir(tmp_path)
    Path("big.bin").write_bytes(bytes(100_000))
    names = {"url": service.url, "api_key": credential(client, "*", name="billing")}
    client.post("/keys", json={"key_id": "orders"})
    client.post("/keys", json={"key_id": "release", "type": "signing"})
    client.post("/keys", json={"key_id": "customers-index", "type": "index"})
    made = client.post("/keys", json={"key_id": "countries", "type": "deterministic"})
    assert made.status_code == 201, made.text
    assert len(BLOCKS) >= 7
    for block in BLOCKS:
        exec(compile(block, "docs/client.md", "exec"), names)
    assert Path("back.bin").read_bytes() == bytes(100_000)


LEASES = [Lease, AsyncLease, IndexLease, AsyncIndexLease, DeterministicLease]


@pytest.mark.parametrize("kind", [Client, AsyncClient, *LEASES, AsyncDeterministicLease])
def test_every_method_says_what_it_does(kind: type) -> None:
    """In its docstring."""
    for name in dir(kind):
        if not name.startswith("_"):
            assert getattr(kind, name).__doc__, name


def test_every_public_name_is_on_the_page_or_told_of_by_one() -> None:
    """Nobody has to read the code to find what there is."""
    told = {
        "AsyncDeterministicLease", "AsyncIndexLease", "AsyncLease", "DecryptItem",
        "DeterministicLease", "ExportedKey", "Health", "IndexLease", "Lease", "OwnCredential",
        "PendingImport", "PublicKey", "SignItem", "StreamResult", "VerifyItem", "Versioned",
    }  # fmt: skip
    assert set(package.__all__) - told == {
        name for name in package.__all__ if re.search(rf"\b{name}\b", PAGE)
    }
