"""What docs/library.md and docs/searching.md show works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mycelium_fractal_net import initialise
from scripts import library_docs
from tests.support.service import credential

if TYPE_CHECKING:
    import httpx
    import pytest

    from tests.support.service import Running

PAGE = library_docs.PAGE.read_text()
PROSE = PAGE.partition(library_docs.BEGIN)[0]
BLOCKS = re.findall(r"```python\n(.*?)```", PROSE, re.DOTALL)


def test_the_examples_run_one_after_the_other(
    service: Running, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an empty home, with the address and an API key of a service that has the key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MFN_HOME", str(tmp_path / "home"))
    client.post("/keys", json={"key_id": "orders"})
    names: dict[str, Any] = {"url": service.url, "api_key": credential(client, "*", name="page")}
    assert len(BLOCKS) > 15
    try:
        for block in BLOCKS:
            exec(compile(block, "docs/library.md", "exec"), names)
    finally:
        names["keyring"].close()
    assert Path("back.txt").read_bytes() == Path("notes.txt").read_bytes()


def test_the_examples_of_the_page_on_searching_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an empty home too."""
    monkeypatch.setenv("MFN_HOME", str(tmp_path))
    initialise().close()
    page = (library_docs.PAGE.parent / "searching.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(block, "docs/searching.md", "exec"), {})
