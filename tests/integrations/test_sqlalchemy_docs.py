"""The examples in the documentation of encrypted columns work as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.dialects import oracle

from mycelium_fractal_net import initialise
from mycelium_fractal_net.integrations import application
from mycelium_fractal_net.integrations.application import configure
from mycelium_fractal_net.integrations.sqlalchemy import RefusedQueryError
from mycelium_fractal_net.integrations.sqlalchemy.checking import check
from tests.integrations.customers import TABLE

PAGE = Path(__file__).parents[2] / "docs" / "sqlalchemy.md"


def test_the_examples_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is read, in a folder of its own."""
    monkeypatch.setattr(application.APPLICATION, "default", application._by_configuration)
    monkeypatch.setenv("MFN_HOME", str(home))
    monkeypatch.chdir(home)
    initialise().close()
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    names = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), names)
    configure(None)


def test_no_value_is_stored_where_tags_have_no_index() -> None:
    """On another database nothing would be unique, and each search would read the table."""
    compiled = insert(TABLE).values(email="ada@example.com").compile(dialect=oracle.dialect())
    with pytest.raises(RefusedQueryError, match="sqlite, postgresql, mysql and mariadb alone"):
        check(compiled)
