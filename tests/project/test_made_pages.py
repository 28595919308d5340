"""The pages that are made from the code, all by one command."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from scripts import made

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_page_that_is_out_of_date_is_told_and_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no other is touched; one that is not there is made where nothing in it is a person's."""
    of_two = {name: made.MAKERS[name] for name in ("house.svg", "library.md")}
    monkeypatch.setattr(made, "MAKERS", of_two)
    shutil.copy(made.DOCS / "library.md", tmp_path)
    library = tmp_path / "library.md"
    text = library.read_text()
    library.write_text(text.replace("| `Keyring.encrypt(", "| `Keyring.encipher("))
    monkeypatch.setattr(sys, "argv", ["made"])
    assert made.main(docs=tmp_path) == 1
    told = capsys.readouterr().out.splitlines()
    assert told == [f"docs/{name} differs from the code; run: make pages" for name in of_two]
    monkeypatch.setattr(sys, "argv", ["made", "--write"])
    assert made.main(docs=tmp_path) == 0
    assert library.read_text() == text
    assert made.differing(docs=tmp_path) == {}
