"""examples/sealed_data: it runs, and docs/tutorials/data_science.md shows it cell by cell."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.integrations.application import configure
from tests.support.service import credential

if TYPE_CHECKING:
    import httpx

    from tests.support.service import Running

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "sealed_data"
PAGE = (ROOT / "docs" / "tutorials" / "data_science.md").read_text()


def cells(name: str) -> list[str]:
    """The code of a script, by the lines that part it; but the end."""
    return [
        cell.strip()
        for cell in re.split(r"^# %% .*\n", (EXAMPLE / name).read_text(), flags=re.MULTILINE)[1:-1]
    ]


def test_the_page_shows_the_example() -> None:
    """Each cell, in order, and no code beside them."""
    shown = [block.strip() for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)]
    assert shown == cells("notebook.py") + cells("permissions.py")


def test_the_notebook_leaves_nothing_in_the_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every file that it made is sealed."""
    monkeypatch.setenv("MFN_HOME", str(tmp_path / "home"))
    with initialise() as keyring:
        for name in ("sales", "models"):
            keyring.provider.keys.create(name)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    try:
        runpy.run_path(str(EXAMPLE / "notebook.py"))
    finally:
        configure(None)
    assert capsys.readouterr().out == "10000 rows; on the disk: b'MFN'\n"
    made = sorted(Path().iterdir())
    assert len(made) == 4
    assert {path.read_bytes()[:3] for path in made} == {b"MFN"}


def test_two_callers_read_what_they_may(
    service: Running, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the scopes that the page gives them."""
    for name in ("footers", "prices", "people"):
        assert client.post("/keys", json={"key_id": name}).status_code == 201
    for name, line in re.findall(r"credential create (\w+) (.*)", PAGE):
        scopes = re.findall(r"--scope '?([\w:*]+)", line)
        monkeypatch.setenv(f"{name.upper()}_KEY", credential(client, *scopes, name=f"data-{name}"))
    monkeypatch.setenv("KEYS_URL", service.url)
    monkeypatch.chdir(tmp_path)
    found = runpy.run_path(str(EXAMPLE / "permissions.py"))
    assert found["prices"].column_names == ["shop", "price"]
    assert found["prices"]["price"].to_pylist() == [1.5, 2.5]
