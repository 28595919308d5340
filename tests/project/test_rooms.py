"""What import rules cannot say: they count imports for types, and these rules are about work."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mycelium_fractal_net
from scripts import house

PACKAGE = Path(mycelium_fractal_net.__file__).parent
ROOT = "mycelium_fractal_net"

ALGORITHMS = (
    "cryptography",
    f"{ROOT}.security.aes_encryption",
    f"{ROOT}.security.algorithms",
    f"{ROOT}.security.sealed",
    f"{ROOT}.security.signatures",
)
# Those who are the algorithms, and the door to them.
THEIR_ROOMS = (
    "security/aes_encryption.py",
    "security/algorithms/",
    "security/policy.py",
    "security/sealed/",
    "security/signatures/",
)
# What is read and written by these uses no algorithm, and they import none.
FORMATS = {
    f"{ROOT}.security.sealed.format": "security/sealed/format.py",
    f"{ROOT}.security.signatures.files": "security/signatures/files.py",
}
# No algorithm: a type, and the dates in a certificate.
HARMLESS = {
    "cryptography.utils.Buffer": ("security/byte_io/", "legacy/cipher.py"),
    "cryptography.x509": ("api/transport/tls.py",),
}
# The XOR cipher asks the policy itself.
STILL_OUTSIDE = ("legacy/cipher.py",)

DATABASES = ("sqlalchemy", "alembic", "psycopg")
KNOW_DATABASES = ("security/key_store/", "columns/", "legacy/", "security/backup/restoring.py")


class Imports(ast.NodeVisitor):
    """Every name that a file imports to work with; for types alone does not count."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.names += [alias.name for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.names += [f"{node.module}.{alias.name}" for alias in node.names]


def imports(path: Path) -> list[str]:
    visitor = Imports()
    visitor.visit(ast.parse(path.read_text()))
    return visitor.names


def is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


FILES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", [f for f in FILES if not f.startswith(THEIR_ROOMS)])
def test_an_algorithm_is_reached_only_through_the_policy(file: str) -> None:
    """No file outside of the algorithms' rooms imports one, wherever in the file."""
    found = [
        name
        for name in imports(PACKAGE / file)
        if is_in(name, ALGORITHMS)
        and not is_in(name, tuple(FORMATS))
        and not file.startswith(HARMLESS.get(name, ("/",)))
    ]
    if file in STILL_OUTSIDE:
        assert found
    else:
        assert found == []


@pytest.mark.parametrize("file", FORMATS.values())
def test_what_reads_a_format_uses_no_algorithm(file: str) -> None:
    """So it asks no policy, and may be imported from everywhere."""
    found = [name for name in imports(PACKAGE / file) if is_in(name, ALGORITHMS)]
    assert set(found) <= {"cryptography.utils.Buffer"}


@pytest.mark.parametrize("file", [f for f in FILES if not f.startswith(KNOW_DATABASES)])
def test_the_database_is_known_to_the_key_store_alone(file: str) -> None:
    """Only what handles rows imports the database's library."""
    assert [name for name in imports(PACKAGE / file) if is_in(name, DATABASES)] == []


def test_the_picture_shows_the_import_rules() -> None:
    """docs/house.svg is drawn from the layers that the linter enforces."""
    assert house.PICTURE.read_text() == house.picture(), "run: python scripts/house.py --write"


def test_few_files_lie_flat_in_security() -> None:
    """At most twelve: what is there is found by its room."""
    assert len([f for f in FILES if f.startswith("security/") and f.count("/") == 1]) <= 12
