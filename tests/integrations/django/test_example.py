"""The site in ``examples/django_site``, as its README has it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import environment

pytestmark = pytest.mark.long

SITE = Path(__file__).parents[3] / "examples" / "django_site"
PAGE = (Path(__file__).parents[3] / "docs" / "tutorials" / "django.md").read_text()
COMMANDS = [
    line.partition("#")[0].split()
    for line in (SITE / "README.md").read_text().splitlines()
    if line.startswith(("    mfn ", "    python manage.py "))
]
ROTATION = [
    line.split()
    for block in re.findall(r"```sh\n(.*?)```", PAGE.partition("## Rotating")[2], re.DOTALL)
    for line in block.splitlines()
    if not line.startswith("sleep ")
]
_SHELL = ["python", "manage.py", "shell", "-v", "0", "-c"]
_MADE = "Customer.objects.create(name='Ada', email='Ada@example.com', phone='+43 1', notes='tea')"
_FOUND = (
    "found = Customer.objects.get(email='ADA@example.com', phone='+43 1');"
    " print(found.name, found.notes)"
)
_IMPORT = "from customers.models import Customer; "


def test_the_example_runs_as_its_readme_and_page_say(tmp_path: Path) -> None:
    """From no key at all to migrated tables, its own tests, and keys that were rotated under it."""
    env = environment(
        {"MFN_HOME": str(tmp_path / "home"), "SITE_DATABASE": str(tmp_path / "site.sqlite3")}
    )
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    (tmp_path / "home").mkdir(mode=0o700)

    def run(command: list[str]) -> str:
        words = [sys.executable, *command[1:]]
        if command[0] == "mfn":
            words = [sys.executable, "-m", "mycelium_fractal_net", *command[1:]]
        words = [each.replace("///site", f"///{tmp_path}/site") for each in words]
        ran = subprocess.run(words, cwd=SITE, env=env, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, (command, ran.stderr)
        return ran.stdout

    left_out = {"createsuperuser", "runserver"}
    commands = [each for each in COMMANDS if left_out.isdisjoint(each)]
    assert len(commands) == 5
    for command in commands:
        run(command)
    run(["python", "manage.py", "makemigrations", "--check"])
    run(["python", "manage.py", "test"])
    run([*_SHELL, _IMPORT + _MADE])
    moved = [run(each) for each in ROTATION]
    assert len([each for each in moved if each.startswith("rewrapped 1 ")]) == 3
    assert run([*_SHELL, _IMPORT + _FOUND]).strip() == "Ada tea"
