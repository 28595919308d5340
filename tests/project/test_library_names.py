"""docs/library.md names every public name, and none that is not there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import MfnError
from scripts import library_docs

if TYPE_CHECKING:
    from mycelium_fractal_net import Keyring

PAGE = library_docs.PAGE.read_text()
MODULES = library_docs.MODULES
IMPORTED = re.compile(
    r"^ *from mycelium_fractal_net((?:\.\w+)*) import (\([^)]*\)|[^\n]*)", re.MULTILINE
)
PROSE = PAGE.partition(library_docs.BEGIN)[0]


def test_every_public_name_is_on_the_page_and_no_other() -> None:
    """The list is made from the code: make pages."""
    assert library_docs.page(PAGE) == PAGE, "run: make pages"
    shown = set(re.findall(r"^\| `([\w.]+)", PAGE.partition(library_docs.BEGIN)[2], re.MULTILINE))
    for name in library_docs.MODULES:
        assert set(library_docs.public_names(name)) <= shown, name


def test_what_the_text_names_is_there() -> None:
    """In running text: names with a capital in the middle or an underscore are of the list."""
    listed = set(re.findall(r"\w+", PAGE.partition(library_docs.BEGIN)[2]))
    text = re.sub(r"```.*?```", "", PROSE, flags=re.DOTALL)
    found = {
        name
        for span in re.findall(r"`([^`\n]+)`", text)
        if not span.startswith("provider.")  # which have a test of their own
        for name in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b|\b[A-Z][a-z]+[A-Z]\w*\b", span)
    }
    assert {"open_keyring", "DecryptionError", "open_reader"} <= found
    assert found - listed - {"mycelium_fractal_net"} == set()


def test_what_a_provider_does_is_there(keyring: Keyring) -> None:
    """The calls of the table, each with a docstring."""
    calls = re.findall(r"`provider\.(\w+)\.(\w+)`", PROSE)
    assert len(calls) > 10
    for service, name in calls:
        assert getattr(getattr(keyring.provider, service), name).__doc__, (service, name)


def test_what_the_documents_import_is_public() -> None:
    """Whoever copies an example stands on what stays; the examples' own files too."""
    root = library_docs.PAGE.parents[1]
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    pages = [page for page in pages if "adr" not in page.parts and "SECURITY" not in page.name]
    found: set[tuple[str, str, str]] = set()
    for page in [*pages, *sorted((root / "examples").rglob("*.py"))]:
        for module, names in IMPORTED.findall(page.read_text()):
            for name in re.findall(r"\w+", names.partition("#")[0]):
                found.add((page.name, module.removeprefix("."), name))
    assert len(found) > 30
    public = {(module, name) for module in MODULES for name in library_docs.public_names(module)}
    public |= {(module.rpartition(".")[0], module.rpartition(".")[2]) for module in MODULES}
    assert {each for each in found if each[1:] not in public} == set()


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
    for each in library_docs.public_names(name):
        assert each in module.__all__
        assert not each.startswith("_"), each
        thing = getattr(module, each)
        if isinstance(thing, type) and not issubclass(thing, MfnError):
            assert library_docs.first_sentence(thing), each
