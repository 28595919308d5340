"""docs/library.md: its examples run, and it names every public name and none that is not there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.security.errors import MfnError
from scripts import library_docs
from tests.support.service import credential

if TYPE_CHECKING:
    import httpx

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


def test_every_public_name_is_on_the_page_and_no_other() -> None:
    """The list is made from the code: python scripts/library_docs.py --write."""
    assert library_docs.page(PAGE) == PAGE
    shown = set(re.findall(r"^\| `([\w.]+)", PAGE.partition(library_docs.BEGIN)[2], re.MULTILINE))
    for name in library_docs.MODULES:
        assert set(library_docs.module_named(name).__all__) <= shown, name


def test_what_the_text_names_is_there() -> None:
    """In running text: names with a capital in the middle or an underscore are of the list."""
    listed = set(re.findall(r"\w+", PAGE.partition(library_docs.BEGIN)[2]))
    text = re.sub(r"```.*?```", "", PROSE, flags=re.DOTALL)
    found = {
        name
        for span in re.findall(r"`([^`\n]+)`", text)
        for name in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b|\b[A-Z][a-z]+[A-Z]\w*\b", span)
    }
    assert {"open_keyring", "DecryptionError", "open_reader"} <= found
    assert found - listed - {"mycelium_fractal_net"} == set()


def test_stability_promises_what_the_page_lists() -> None:
    """Both are read by whoever wonders whether a name stays."""
    promised = (library_docs.PAGE.parent / "stability.md").read_text()
    row = next(line for line in promised.splitlines() if line.startswith("| Python |"))
    for name in library_docs.MODULES:
        assert f"`{name or library_docs.PACKAGE}`" in row.replace(f"{library_docs.PACKAGE}.", ""), (
            name
        )


@pytest.mark.parametrize("name", [each for each in library_docs.MODULES if each])
def test_every_module_of_the_page_names_its_own(name: str) -> None:
    """So that ``from module import *`` and the page have the same."""
    module = library_docs.module_named(name)
    assert len(module.__all__) == len(set(module.__all__))
    for each in module.__all__:
        assert not each.startswith("_"), each
        thing = getattr(module, each)
        if isinstance(thing, type) and not issubclass(thing, MfnError):
            assert library_docs.first_sentence(thing), each


def test_a_page_that_is_out_of_date_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is written anew when that is asked for."""
    page = tmp_path / "library.md"
    page.write_text(PAGE.replace("| `Keyring.encrypt(", "| `Keyring.encipher("))
    monkeypatch.setattr(library_docs, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["library_docs"])
    assert library_docs.main() == 1
    assert "--write" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["library_docs", "--write"])
    assert library_docs.main() == 0
    assert page.read_text() == PAGE
