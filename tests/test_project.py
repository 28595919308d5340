"""The project itself: what it says, what it installs, and what must never stand in it."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mycelium_fractal_net

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted((ROOT / "src").rglob("*.py"))
# Put together here, so that this file does not hold what it looks for.
HOSTS = ["py" + "pi.org", "python" + "hosted", "npmjs" + ".org", "deb." + "debian.org"]
PLACES = ["/" + "work/", "/" + "root/", "/" + "tmp/w", "/" + "opt/wheels"]


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    if listed.returncode:
        pytest.skip("this is no checkout: git lists no files")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_the_version_is_one() -> None:
    """Package, project and changelog agree."""
    version = PYPROJECT["project"]["version"]
    assert mycelium_fractal_net.__version__ == version == "4.1.0"
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_public_name_is_there_and_no_other() -> None:
    """__all__ is the public door, and dir() shows it."""
    for name in mycelium_fractal_net.__all__:
        assert getattr(mycelium_fractal_net, name) is not None
    assert dir(mycelium_fractal_net) == sorted(mycelium_fractal_net.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = mycelium_fractal_net.nothing


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_all_lists_what_a_module_defines(path: Path) -> None:
    """A name in a module's __all__ that does not exist would mislead its reader."""
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    if "migrations" in parts or parts[-1] == "__main__":
        return
    module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
    for name in getattr(module, "__all__", ()):
        assert hasattr(module, name)


def test_importing_the_package_loads_nothing_heavy() -> None:
    """What a name needs is imported when the name is asked for."""
    code = (
        "import sys, mycelium_fractal_net;"
        "print([m for m in ('sqlalchemy', 'cryptography', 'typer', 'rich', 'alembic')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_environment_is_read_in_one_place() -> None:
    """Only the configuration reads environment variables that begin with MFN_."""
    readers = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and (node.value.id, node.attr) in {("os", "environ"), ("os", "getenv")}
            ):
                readers.add(path.relative_to(ROOT / "src" / "mycelium_fractal_net").parts[0])
    assert readers <= {"config", "cli"}
    for path in SOURCES:
        if "config" not in path.parts:
            text = path.read_text()
            assert not re.search(r"environ[\[.](?:get\()?[\"']MFN_", text), path


def test_the_plain_list_of_requirements_is_that_of_the_project() -> None:
    """requirements.txt, run.in and pyproject.toml name the same packages and bounds."""
    wanted = set(PYPROJECT["project"]["dependencies"])
    for name in ("requirements.txt", "requirements/run.in"):
        lines = (ROOT / name).read_text().splitlines()
        listed = {line for line in lines if line and not line.startswith("#")}
        assert wanted <= listed
        assert listed - wanted <= {"hatchling>=1.27", "editables>=0.5"}


@pytest.mark.parametrize("name", ["run", "test", "lint", "fuzz", "bench"])
def test_every_lock_has_hashes_and_no_address(name: str) -> None:
    """Each pinned package has at least one hash, and where it comes from is not written down."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-(?:i|-index|-find|-extra)", text, re.MULTILINE)
    pins = re.findall(r"^[A-Za-z0-9._-]+==\S+ \\$", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[A-Za-z]", text, re.MULTILINE)) > 10


def test_no_file_names_a_registry_or_a_path_of_some_machine() -> None:
    """What is committed works anywhere."""
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for unwanted in (*HOSTS, *PLACES):
            assert unwanted not in text, f"{path.relative_to(ROOT)} holds {unwanted}"


def test_the_documents_are_in_order() -> None:
    """No dead link, no command or target that does not exist."""
    script = ROOT / "scripts" / "check_docs.py"
    done = subprocess.run([sys.executable, script], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout


def test_the_shipped_configurations_are_in_the_wheel() -> None:
    """The build puts them where the installed package looks."""
    included = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"configs": "mycelium_fractal_net/configs"}
