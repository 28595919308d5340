"""Doctor says which takeovers of columns are to be run again, and which can end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from mycelium_fractal_net.cli import ExitCode
from tests.support.cli import Mfn


@pytest.fixture
def column(mfn: Mfn, tmp_path: Path) -> list[str]:
    """A column of plaintext, as commands name it."""
    mfn.ok("key", "create", "customers")
    url = f"sqlite:///{tmp_path / 'app.db'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE people (id INTEGER PRIMARY KEY, iban TEXT)"))
        connection.execute(text("INSERT INTO people VALUES (1, 'DE02')"))
    engine.dispose()
    return [
        "rewrap", "--database", url, "--table", "people", "--column", "iban", "--field",
        "people.iban", "--workers", "1",
    ]  # fmt: skip


def said(mfn: Mfn, *more: str) -> list[tuple[str, str, str]]:
    """What doctor has on takeovers: the check, how bad it is, and what to do."""
    found = json.loads(mfn("doctor", "--json", *more).out)
    return [
        (each["check"], each["severity"], each["advice"])
        for each in found
        if each["check"].startswith("takeover")
    ]


def test_a_takeover_is_told_until_it_has_ended(mfn: Mfn, column: list[str], tmp_path: Path) -> None:
    """It is open while a run finds something, over once one finds nothing, and then forgotten."""
    take_over = [*column, "--from", "plaintext", "-k", "customers"]
    mfn.ok(*take_over, "--dry-run")
    assert said(mfn) == []
    mfn.ok(*take_over)
    ((check, severity, advice),) = said(mfn)
    assert (check, severity) == ("takeover-open", "notice")
    assert "had 1 values that were not sealed" in advice
    mfn.ok(*take_over)
    ((check, severity, advice),) = said(mfn, "--profile", "prod")
    assert (check, severity) == ("takeover-over", "warning")
    assert "leave takes_over out" in advice
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    with engine.begin() as connection:  # as who writes to the database would
        connection.execute(text("INSERT INTO people VALUES (2, 'forged')"))
    assert mfn(*column).code == ExitCode.PARTIAL
    assert said(mfn)[0][0] == "takeover-over"
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM people WHERE id = 2"))
    engine.dispose()
    mfn.ok(*column)
    assert said(mfn) == []
    assert not (mfn.home / "takeovers.json").exists()
    mfn.ok(*column)


@pytest.mark.parametrize("noted", ["{", "[1]", '{"column a.b of c": {"on": 1}}'])
def test_a_note_that_is_damaged_counts_as_none(mfn: Mfn, noted: str) -> None:
    """Doctor goes on."""
    (mfn.home / "takeovers.json").write_text(noted)
    assert said(mfn) == []
