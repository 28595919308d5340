"""The site in ``examples/django_site``, as its README has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import environment

pytestmark = pytest.mark.long

SITE = Path(__file__).parents[3] / "examples" / "django_site"
COMMANDS = [
    line.partition("#")[0].split()
    for line in (SITE / "README.md").read_text().splitlines()
    if line.startswith(("    mfn ", "    python manage.py "))
]


def test_the_example_runs_as_its_readme_says(tmp_path: Path) -> None:
    """From no key at all to migrated tables, and its own tests pass."""
    env = environment(
        {"MFN_HOME": str(tmp_path / "home"), "SITE_DATABASE": str(tmp_path / "site.sqlite3")}
    )
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    (tmp_path / "home").mkdir(mode=0o700)
    left_out = {"createsuperuser", "runserver"}
    more = [["python", "manage.py", "makemigrations", "--check"], ["python", "manage.py", "test"]]
    done = 0
    for command in [*COMMANDS, *more]:
        if not left_out.isdisjoint(command):
            continue
        words = (
            [sys.executable, "-m", "mycelium_fractal_net", *command[1:]]
            if command[0] == "mfn"
            else [sys.executable, *command[1:]]
        )
        ran = subprocess.run(words, cwd=SITE, env=env, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        done += 1
    assert done == 7
