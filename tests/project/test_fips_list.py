"""The list of docs/fips.md names tests; `make test-fips` sees that each of them is refused."""

from __future__ import annotations

import ast
import functools

from tests.support.fips_list import ROOT, is_listed, listed


@functools.cache
def names(file: str) -> set[str]:
    """What is defined in a file of tests."""
    tree = ast.parse((ROOT / file).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_what_fips_mode_refuses_is_listed_by_the_names_of_tests() -> None:
    """Each is there, and none twice."""
    patterns = listed()
    assert len(patterns) == len(set(patterns)) > 50
    for pattern in patterns:
        file, *inner = pattern.partition("[")[0].split("::")
        assert inner, pattern
        assert set(inner) <= names(file), pattern


def test_a_bracket_stands_for_itself_and_a_star_for_anything() -> None:
    """Not for a set of characters, as a shell has it."""
    assert is_listed("t.py::test_a[x-1]", ["t.py::test_a[x*"])
    assert not is_listed("t.py::test_ax", ["t.py::test_a[x*"])
    assert not is_listed("t.py::test_a[x-1]", ["t.py::test_a"])
