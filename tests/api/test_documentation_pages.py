"""The pages in which API keys are pasted: nothing in them comes from anywhere else."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mycelium_fractal_net.api.openapi import pages

if TYPE_CHECKING:
    import httpx

FOLDER = Path(pages.__file__).parent / "swagger_ui"


def test_swagger_ui_is_the_one_that_npm_has() -> None:
    """By its hashes, with its licence and that of what is bundled with it."""
    for name, expected in pages.SHA256.items():
        content = gzip.decompress(pages.compressed(name))
        assert hashlib.sha256(content).hexdigest() == expected
    assert "Apache License" in (FOLDER / "LICENSE").read_text()
    assert "SmartBear" in (FOLDER / "NOTICE").read_text()
    assert (FOLDER / "swagger-ui-bundle.js.LICENSE.txt").stat().st_size > 1000


def test_the_pages_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    """Each script, style and document is the service's own, and the policy allows no other."""
    page = client.get("/docs", headers={"X-API-Key": ""})
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    for directive in ("default-src 'none'", "script-src 'self'", "connect-src 'self'"):
        assert directive in policy.split("; ")
    assert "unsafe-eval" not in policy
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert "http" not in page.text.replace("http-equiv", "")
    assert not re.search(r"<script(?! src=)", page.text)  # the policy would refuse it
    for address in named:
        if address != "data:,":
            found = client.get(f"/{address}")
            assert found.status_code == 200
            assert found.headers["content-security-policy"] == policy
            assert found.headers["x-content-type-options"] == "nosniff"


def test_a_client_without_gzip_gets_the_files_too(client: httpx.Client) -> None:
    """Uncompressed."""
    name = "swagger-ui.css"
    plain = client.get(f"/docs/{name}", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert hashlib.sha256(plain.content).hexdigest() == pages.SHA256[name]
    assert client.get(f"/docs/{name}").headers["content-encoding"] == "gzip"
    assert client.get("/docs/nothing.js").status_code == 404
