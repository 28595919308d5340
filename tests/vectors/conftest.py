"""Says after a run how many published vectors each test ran, not only that it passed.

pytest-xdist's controller loads no conftest below ``tests/``: for the summary to show there too,
``tests/conftest.py`` imports :func:`pytest_terminal_summary` from here.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

PROPERTY = "vectors"
_SHOWN = pytest.StashKey[bool]()


@pytest.fixture
def ran(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Call with a name and a count; the count is shown in the summary of the run."""

    def record(name: str, count: int) -> None:
        record_property(PROPERTY, f"{name}: {count}")

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts of every passed test that recorded one."""
    lines = [
        str(value)
        for report in terminalreporter.stats.get("passed", [])
        for name, value in getattr(report, "user_properties", [])
        if name == PROPERTY
    ]
    stash = terminalreporter.config.stash
    if lines and not stash.get(_SHOWN, False):
        stash[_SHOWN] = True
        terminalreporter.section("published vectors that ran")
        for line in sorted(lines):
            terminalreporter.line(line)
