"""The project itself: what it says, what it installs, and what must never stand in it."""

from __future__ import annotations

import ast
import contextlib
import importlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mycelium_fractal_net
from scripts import check_docs, promises

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted((ROOT / "src").rglob("*.py"))
UNWANTED = re.compile(
    r"(?<![\w}])/(?:work|root|home(?!/(?:me|someone)\b)|opt(?!/pyca\b)|tmp/w)/|(?:py"
    r"pi|python"
    r"hosted|npm"
    r"js|deb\.deb"
    r"ian)\.org"
)
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
APART = ["sqlalchemy20"]  # installed into a folder of its own, in front of the others


def python(code: str) -> str:
    """What a fresh interpreter prints for ``code``."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def modules() -> list[str]:
    """The name of every module of the package; the migrations are loaded by Alembic alone."""
    names = [".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in SOURCES]
    return [
        name.removesuffix(".__init__")
        for name in names
        if ".migrations" not in name and not name.endswith("__main__")
    ]


def pins(lock: Path) -> dict[str, str]:
    """The version of each package in a lock."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE))


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


def test_all_lists_what_a_module_defines() -> None:
    """A name in a module's __all__ that does not exist would mislead its reader."""
    for module in map(importlib.import_module, modules()):
        names = getattr(module, "__all__", ())
        assert [each for each in names if not hasattr(module, each)] == [], module.__name__


def test_importing_the_package_loads_nothing_heavy() -> None:
    """What a name needs is imported when the name is asked for."""
    loaded = python(
        "import sys; before = set(sys.modules); import mycelium_fractal_net;"
        "print([m for m in ('sqlalchemy', 'cryptography', 'click', 'alembic', 'msgspec')"
        " if m in sys.modules.keys() - before])"
    )
    assert loaded == "[]"


def test_no_module_needs_an_extra() -> None:
    """All but the service's own modules, the client's and those that are named for a library
    import where no extra is installed; the latter name the extra.
    """
    extras = PYPROJECT["project"]["optional-dependencies"]
    blocked = [re.split(r"[\[>=]", each)[0] for group in extras.values() for each in group]
    assert {"psycopg", "fastapi", "pydantic"} <= set(blocked)
    libraries = {"fsspec": "fsspec", "pyarrow": "pyarrow", "numpy": "numpy", "safetensors": "numpy"}
    libraries["django"] = "django"
    rooms = "mycelium_fractal_net.integrations"
    names = [name for name in modules() if ".api." not in name and ".client." not in name]
    names = [n for n in names if n.removeprefix(f"{rooms}.").split(".")[0] not in libraries]
    assert {"mycelium_fractal_net.api", "mycelium_fractal_net.client", rooms} <= set(names)
    told = python(
        f"import importlib, sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
        f"for name in {list(libraries)!r}:\n"
        f"    try: importlib.import_module({rooms!r} + '.' + name)\n"
        "    except Exception as error: print(type(error).__name__, error.extra)"
    )
    assert told.splitlines() == [f"MissingExtraError {extra}" for extra in libraries.values()]
    python(
        f"import importlib, sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
        f"for name in {names!r}: importlib.import_module(name)"
    )


def environment_readers(tree: ast.AST) -> bool:
    """Whether a module takes anything out of the environment, by whichever name."""
    names = {"environ", "environb", "getenv", "getenvb"}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=attribute) if attribute in names:
                return True
            case ast.ImportFrom(module="os", names=imported):
                if names & {each.name for each in imported}:
                    return True
    return False


def test_settings_come_from_the_environment_in_one_place() -> None:
    """Only the configuration reads it; shells ask for completion by it, `serve` sets a variable."""
    readers = {
        str(path.relative_to(ROOT / "src" / "mycelium_fractal_net"))
        for path in SOURCES
        if environment_readers(ast.parse(path.read_text()))
    }
    assert readers == {
        "config/__init__.py", "cli/run.py", "cli/shells.py", "cli/commands/serve.py",
        "security/key_providers/aws_kms/carrier.py",  # whom to trust, as botocore reads it
        "security/fips/process.py",  # OPENSSL_CONF, for the moment in which OpenSSL starts
    }  # fmt: skip
    for path in SOURCES:
        if "config" not in path.parts:
            assert not re.search(r"(environ|getenv)\W+(get\W+)?MFN_", path.read_text()), path


def test_the_plain_list_of_requirements_is_that_of_the_project() -> None:
    """requirements.txt, run.in and pyproject.toml name the same packages and bounds."""
    wanted = set(PYPROJECT["project"]["dependencies"])
    for name in ("requirements.txt", "requirements/run.in"):
        lines = (ROOT / name).read_text().splitlines()
        listed = {line for line in lines if line and not line.startswith("#")}
        assert wanted <= listed
        assert listed - wanted <= {"hatchling>=1.28", "editables>=0.5"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_lock_has_hashes_and_no_address(lock: Path) -> None:
    """Each pinned package has at least one hash, and where it comes from is not written down."""
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-(?:i|-index|-find|-extra)", text, re.MULTILINE)
    hashed = re.findall(
        r"^[A-Za-z0-9._-]+==\S+(?: ;.+)? \\\n    --hash=sha256:", text, re.MULTILINE
    )
    assert len(hashed) == len(re.findall(r"^[A-Za-z]", text, re.MULTILINE))
    assert len(hashed) > (1 if lock.stem in APART else 10)


def test_the_locks_agree() -> None:
    """The Makefile installs them into one environment: what they share has one version."""
    together = [lock for lock in LOCKS if lock.stem not in APART]
    assert [lock.stem for lock in together] == [
        "audit",
        "bench",
        "fuzz",
        "lint",
        "lock",
        "run",
        "server",
        "test",
    ]
    versions: dict[str, str] = {}
    for lock in together:
        for package, version in pins(lock).items():
            assert versions.setdefault(package, version) == version, f"{package} in {lock.name}"
    assert "torch" not in versions


# The first release of each minor version: what a marker adds below a patch release is needed there.
PYTHONS = [
    f"{each.rpartition(' ')[2]}.0"
    for each in PYPROJECT["project"]["classifiers"]
    if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", each)
]


def marked(lock: Path) -> dict[str, Marker | None]:
    """The packages in a lock, and the marker of each."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==\S+(?: ; (.+?))? \\$", lock.read_text(), re.MULTILINE)
    return {canonicalize_name(name): Marker(text) if text else None for name, text in found}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_is_whole_on_every_python_that_is_promised(lock: Path, python: str) -> None:
    """Made for one alone it lacks what another needs, as `redis` does below 3.11.3.

    What a package needs is read where it is installed here.
    """
    there = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    packages = marked(lock)
    locked = {name for name, mark in packages.items() if mark is None or mark.evaluate(there)}
    missing = []
    for name in locked:
        with contextlib.suppress(PackageNotFoundError):
            for text in requires(name) or ():
                needed = Requirement(text)
                wanted = needed.marker is None or needed.marker.evaluate({**there, "extra": ""})
                if wanted and canonicalize_name(needed.name) not in locked:
                    missing.append(f"{name} needs {text}")
    assert missing == []


def test_no_file_names_a_registry_or_a_path_of_some_machine() -> None:
    """What is committed works anywhere."""
    for path in check_docs.project_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found = UNWANTED.search(text)
        assert found is None, f"{path.relative_to(ROOT)} holds {found[0]}"


def test_nothing_tells_to_install_a_project_of_our_name_from_an_index() -> None:
    """It is not published: whoever took the name there would be installed. README says how."""
    told = re.compile(r"pip install [^\n]*(?<![/\w.])mycelium[-_]fractal[-_]net")
    for path in check_docs.project_files():
        if path.suffix in (".md", ".py", ".toml") and path.name != "CHANGELOG.md":
            assert told.search(path.read_text()) is None, path
    assert "## Install\n" in (ROOT / "README.md").read_text()


def test_the_documents_are_in_order() -> None:
    """No dead link, no command, variable or target that does not exist."""
    documents = [path for path in check_docs.project_files() if path.suffix == ".md"]
    assert ROOT / "README.md" in documents
    assert [(path.name, fault) for path in documents for fault in check_docs.faults(path)] == []


def test_a_fault_in_a_document_is_found(tmp_path: Path) -> None:
    """Each check sees what it is there for, and lets pass what is right."""
    page = tmp_path / "page.md"
    page.write_text(
        "# The one\n[a](gone.md) [b](#the-one) [c](#the-other) [d](https://example.org/x)\n"
        "`mfn key list` and `mfn kye list` and `mfn key lst`, `make test lnit`\n"
        "MFN_HOME, MFN_TEST_VECTORS, MFN_HOUSE\n"
    )
    assert check_docs.faults(page) == [
        "the link gone.md leads nowhere",
        "the link #the-other leads nowhere",
        "there is no command mfn kye list",
        "there is no command mfn key lst",
        "there is no variable MFN_HOUSE",
        "there is no target lnit",
    ]


def test_every_promise_of_the_threat_model_is_held_by_a_test() -> None:
    """Against each actor there are some, and none points nowhere; one without a test is found."""
    text = promises.PAGE.read_text()
    assert promises.faults(text) == []
    assert len(promises.promises(text)) > 40
    for actor in ("stranger", "a caller", "former caller", "store reader", "store writer"):
        assert re.search(f"### .*{actor}", text), actor
    broken = (
        "| promise | held by |\n| --- | --- |\n| nobody | |\n"
        "| one | `tests/project/test_project.py::test_the_version_is_one` |\n"
        "| gone | `tests/project/test_project.py::test_gone`, `src/a.py::test_b` |\n"
    )
    assert promises.faults(broken) == [
        "no test holds: nobody",
        "there is no test tests/project/test_project.py::test_gone",
        "there is no test src/a.py::test_b",
    ]


def test_the_shipped_configurations_are_in_the_wheel() -> None:
    """The build puts them where the installed package looks."""
    included = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"configs": "mycelium_fractal_net/configs"}
