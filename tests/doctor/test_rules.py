"""The list of all checks: held against the code that finds, and the requirements that it cites."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import mycelium_fractal_net.doctor
from mycelium_fractal_net.doctor.asvs import REQUIREMENTS, cited
from mycelium_fractal_net.doctor.rules import HEALTH, POSTURE, RAISED, RULES, Severity
from scripts import made

SOURCE = Path(mycelium_fractal_net.doctor.__file__).parent
_CALLS = {"notice", "warning", "critical", "found", "Finding"}


def checks_of(tree: ast.Module) -> set[str]:
    """The checks that a module finds by name: the first argument of what makes a finding."""
    return {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in _CALLS
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def test_every_check_is_listed_and_every_one_that_is_listed_finds() -> None:
    """The posture's in its own room, the others beside it."""
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for path in SOURCE.rglob("*.py"):
        found[path.parent.name == "posture"] |= checks_of(ast.parse(path.read_text()))
    assert found[True] == set(POSTURE)
    assert found[False] == set(HEALTH)


def test_every_requirement_that_is_cited_is_described_and_no_other() -> None:
    """In the form of the standard, for release 5.0.0."""
    used = {number for rule in RULES.values() for number in rule.requirements}
    assert used == set(REQUIREMENTS)
    for number in REQUIREMENTS:
        assert re.fullmatch(r"v5\.0\.0-(6|8|11|12|13|16)\.[1-9]\.[1-9]", cited(number))


def test_a_reviewer_names_the_requirement_of_all_that_he_finds() -> None:
    """What is no requirement of the standard's is found without him."""
    assert all(rule.requirements for rule in POSTURE.values())
    assert set(RAISED) <= set(HEALTH)
    assert set(RAISED.values()) == {Severity.WARNING}
    assert {RULES[name].worst for name in RAISED} == {Severity.WARNING}


def test_the_page_has_every_check_of_the_code() -> None:
    """docs/posture.md is made from it: make pages."""
    now, wanted = made.page("posture.md")
    assert now == wanted
