"""The units of systemd in the documents, looked at by systemd's own tools; it need not run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.presence import need

DOCS = Path(__file__).parents[2] / "docs"
_INI = re.compile(r"^```ini\n(.*?)^```", re.MULTILINE | re.DOTALL)
UNITS = [
    pytest.param(unit, id=f"{page.stem}-{number}")
    for page in sorted(DOCS.rglob("*.md"))
    for number, unit in enumerate(_INI.findall(page.read_text()))
    if "[Service]" in unit
]


def analyzed(unit: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What ``systemd-analyze`` says of a unit, whose program stands where this Python is."""
    if shutil.which("systemd-analyze") is None:
        need("systemd-analyze (Debian: systemd)")
    path = folder / "mfn.service"
    path.write_text(unit.replace("/usr/local/bin/mfn", sys.executable))
    return subprocess.run(
        ["systemd-analyze", *arguments, path], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_of_the_documents_is_one(unit: str, tmp_path: Path) -> None:
    """Every setting is known and well-formed: systemd would pass one over that is not."""
    ran = analyzed(unit, tmp_path, "verify", "--man=no")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_unit_of_a_reviewer_is_as_little_exposed_as_the_page_says(tmp_path: Path) -> None:
    """By systemd's own reckoning, from 0 to 10."""
    page = (DOCS / "posture.md").read_text()
    ((unit,), (said,)) = (
        _INI.findall(page),
        re.findall(r"gives it an exposure of ([0-9.]+)", page),
    )
    ran = analyzed(unit, tmp_path, "security", "--offline=true", "--no-pager")
    assert f"Overall exposure level for mfn.service: {said} " in ran.stdout
