"""Mutants are made, named, put into a living program and counted as the page says."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from campaigns.mutation.choosing import Chooser
from campaigns.mutation.contexts import Contexts, durations
from campaigns.mutation.explained import KINDS, Explanation, explained, explanations
from campaigns.mutation.figures import Row, misses, rows
from campaigns.mutation.files import SECURITY, WHOLE, others
from campaigns.mutation.mutants import Mutant, mutants_of
from campaigns.mutation.patching import Living, functions_by_file
from campaigns.mutation.trying import attempted, due

SOURCE = '''"""A page."""
from __future__ import annotations
import logging

__all__ = ["held"]
_LOG: Final = logging.getLogger("it")
_Any = TypeVar("_Any", bound=bytes)
_One: TypeAlias = int | str
_MOST: Final = 4


def held(data: bytes | None, most: int = _MOST, key: str = "k") -> bytes:
    """What it holds."""
    if len(data) > _MOST:
        _LOG.warning("too long: %s", data)
        raise ValueError("it is too long")
    try:
        return check(data, key=key)
    except KeyError:
        return b""
'''


def _changes(operator: str) -> list[tuple[str, str]]:
    return [
        (each.before, each.after)
        for each in mutants_of("f.py", SOURCE)
        if each.operator == operator
    ]


def test_each_operator_changes_what_it_says() -> None:
    """mutmut's and ours; annotations, docstrings, loggers and the words of messages stay."""
    assert ("if len(data) > _MOST:", "if not (len(data) > _MOST):") in _changes("negated_condition")
    assert ("if len(data) > _MOST:", "if len(data) >= _MOST:") in _changes("swap_op")
    assert ('raise ValueError("it is too long")', "pass") in _changes("removed_statement")
    assert ("except KeyError:", "except ():") in _changes("uncaught_error")
    assert ("return check(data, key=key)", "return None") in _changes("returned_none")
    assert ("return check(data, key=key)", "return check(None, key=key)") in _changes("arg_removal")
    assert any("check(data, )" in after for _, after in _changes("arg_removal"))
    assert ("_MOST: Final = 4", "_MOST: Final = 5") in _changes("number")
    strings = _changes("string")
    assert strings
    assert not any("too long" in before or "page" in before for before, _ in strings)
    for kept in ("_LOG: Final", "__all__", "_Any = TypeVar", "_One: TypeAlias"):
        assert kept in SOURCE
        assert not any(kept in each.before for each in mutants_of("f.py", SOURCE))


def test_a_mutant_is_another_program_with_a_name_that_lines_above_do_not_change() -> None:
    """None compiles to the same as another; a comment above moves the lines and no key."""
    found = mutants_of("f.py", SOURCE)
    assert len({each.source for each in found}) == len(found)
    moved = mutants_of("f.py", SOURCE.replace("import logging", "# why\nimport logging"))
    assert [each.key for each in moved] == [each.key for each in found]
    assert moved[-1].first_line == found[-1].first_line + 1


def test_every_file_that_guards_most_is_there_and_in_no_sample() -> None:
    """A file that is renamed would drop out of the campaign unseen."""
    root = Path(__file__).parents[2]
    assert [file for file in WHOLE if not (root / file).is_file()] == []
    assert not set(WHOLE) & set(others())
    assert len(others()) > 100


LIVING = """
MOST: int = 4
class Plain:
    size = 3
def most(more: int = 1) -> int:
    return MOST + more
"""


@pytest.fixture
def living(monkeypatch: pytest.MonkeyPatch) -> tuple[Living, ModuleType]:
    """A module that was imported, and another that has its constant."""
    module, importer = ModuleType("a_living_module"), ModuleType("its_importer")
    module.__file__ = "/nowhere/living.py"
    exec(compile(LIVING, module.__file__, "exec"), module.__dict__)
    importer.__dict__["MOST"] = module.__dict__["MOST"]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, importer.__name__, importer)
    return Living(module.__file__, LIVING, functions_by_file()[module.__file__]), importer


def test_a_mutant_is_put_into_the_functions_that_live(living: tuple[Living, ModuleType]) -> None:
    """The function that others hold runs the changed code."""
    held = sys.modules["a_living_module"].most
    assert living[0].patched(LIVING.replace("MOST + more", "MOST - more"))
    assert held() == 3


def test_constants_and_defaults_are_changed_wherever_they_are_held(
    living: tuple[Living, ModuleType],
) -> None:
    """A constant in the modules that imported it, too."""
    held = sys.modules["a_living_module"].most
    assert living[0].patched(LIVING.replace("MOST: int = 4", "MOST: int = 6"))
    assert (held(), living[1].MOST) == (7, 6)
    assert living[0].patched(LIVING.replace("more: int = 1", "more: int = 2"))
    assert held.__defaults__ == (2,)


def test_what_a_class_ran_when_it_was_made_is_left_to_a_fresh_import(
    living: tuple[Living, ModuleType],
) -> None:
    """Whoever asks is told so."""
    assert not living[0].patched(LIVING.replace("size = 3", "size = 4"))


def _mutant(line: int = 1, file: str = f"{SECURITY}/audit/chain.py") -> Mutant:
    return Mutant(file, "f", "swap_op", "a", "b", 0, line, line, True, "")


def test_tests_of_the_line_are_tried_and_what_killed_a_neighbour_first() -> None:
    """The quick ones of the same room come before others, servers last, and each kill counts."""
    here, slow, far = (
        "tests/security/audit/t.py::a",
        "tests/security/audit/t.py::b",
        "tests/t.py::c",
    )
    lines = {_mutant().file: {1: {here, slow, far}, 2: {far}}}
    contexts = Contexts({here: 0.1, slow: 0.1, far: 0.1}, lines, {_mutant().file: ""})
    chooser = Chooser(contexts, [here, slow, far], costly=[slow])
    assert chooser.tests_for(_mutant()) == ([here, far, slow], 3)
    assert chooser.tests_for(_mutant(line=3)) == ([], 0)
    chooser.killed(_mutant(), far)
    assert chooser.tests_for(_mutant())[0][0] == far


def test_what_is_too_long_for_the_time_that_is_left_gives_way_to_what_is_not() -> None:
    """After the first twenty; a survivor has ten times as long, in which all are run."""
    tests = [f"tests/t.py::{number:02}" for number in range(30)]
    seconds = {name: 0.1 if number % 2 else 0.2 for number, name in enumerate(tests)}
    contexts = Contexts(seconds, {_mutant().file: {1: set(tests)}}, {_mutant().file: ""})
    chooser = Chooser(contexts, tests, costly=tests[20:21])
    chosen, of = chooser.tests_for(_mutant())
    assert of == 30
    assert 20 < len(chosen) < 30
    assert tests[20] not in chosen
    assert sorted(chooser.tests_for(_mutant(), 30.0)[0]) == tests


def test_a_constant_is_tried_against_the_tests_of_its_users() -> None:
    """Whichever test imported the module first ran its line, and knows nothing of it."""
    file = _mutant().file
    first, user = "tests/t.py::first", "tests/t.py::user"
    contexts = Contexts(
        {first: 0.1, user: 0.1}, {file: {1: {first}, 3: {user}}}, {file: "_MOST = 3\n\nx = _MOST\n"}
    )
    constant = replace(_mutant(), before="_MOST = 3", is_in_function=False)
    assert set(Chooser(contexts, [first, user]).tests_for(constant)[0]) == {first, user}


def test_a_survivor_is_tried_again_where_the_tests_are_others_and_nothing_explains_it() -> None:
    """So that a retry goes on where it was ended, and what was killed is left."""
    names = ("new", "killed", "survived", "survived these", "uncovered", "timeout", "explained")
    mutants = {name: replace(_mutant(), after=name) for name in names}
    base = {"file": _mutant().file, "scope": "f", "before": "a"}
    outcomes = {
        mutants[name].key: {**base, "after": name, "outcome": name.partition(" ")[0]}
        for name in names[1:]
    }
    outcomes[mutants["survived these"].key]["tests"] = "now"
    outcomes[mutants["explained"].key]["outcome"] = "survived"
    table = [Explanation(_mutant().file, "f", "a", ("explained",), "speed", "it is slower")]
    found = due(list(mutants.values()), outcomes, table, "now")
    assert [each.after for each in found] == ["new", "survived", "uncovered"]


def test_a_test_that_fails_without_the_mutant_kills_nothing() -> None:
    """It is seen to pass on the code as it is, or it is not asked again."""
    tests = ["tests/t.py::broken", "tests/t.py::right"]
    lines = {_mutant().file: {1: set(tests)}}
    chooser = Chooser(Contexts(dict.fromkeys(tests, 0.1), lines), tests)

    def attempt(_file: str, source: str | None, tests: object, _cpu: float) -> dict[str, object]:
        assert isinstance(tests, list)
        if "tests/t.py::broken" in tests:
            return {"outcome": "killed", "by": "tests/t.py::broken"}
        if source is None:
            return {"outcome": "survived"}
        return {"outcome": "killed", "by": "tests/t.py::right"}

    outcome = attempted(_mutant(), chooser, attempt, set())
    assert (outcome["outcome"], outcome["by"]) == ("killed", "tests/t.py::right")


def test_what_covers_a_line_goes_with_it_when_others_come_before_it() -> None:
    """A new line has the tests of those around it until they are measured again."""
    contexts = Contexts(lines={"f": {1: {"a"}, 2: {"b"}}}, sources={"f": "one\ntwo\n"})
    contexts.moved_to("f", "one\nnew\ntwo\n")
    assert contexts.lines["f"][1] == {"a"}
    assert contexts.lines["f"][3] == {"b"}
    assert "a" in contexts.lines["f"][2]
    assert durations("0.25s call     tests/t.py::a[x y]\n0.05s setup    tests/t.py::a[x y]") == {
        "tests/t.py::a[x y]": pytest.approx(0.3)
    }


def test_every_explanation_is_of_a_line_that_stands_there() -> None:
    """Whoever changes such a line says anew why its mutants survive, or tests them."""
    table = explanations()
    assert [(each.file, each.before) for each in table if each.is_stale()] == []
    assert {each.kind for each in table} <= KINDS.keys()
    assert all(each.why for each in table)


def test_rows_count_each_outcome_once_and_goals_name_what_misses_them() -> None:
    """Killed, explained, open, timed out; the share is of all, timeouts are not in it."""
    file = f"{SECURITY}/policy.py"
    table = [Explanation(file, "f", "a", ("b",), "speed", "it is slower")]
    base = {"file": file, "scope": "f", "before": "a"}
    outcomes = [
        *({**base, "after": "x", "outcome": "killed"} for _ in range(7)),
        {**base, "after": "b", "outcome": "survived"},
        {**base, "after": "c", "outcome": "uncovered"},
        {**base, "after": "d", "outcome": "timeout"},
    ]
    found = rows(outcomes, table)
    assert found == {"policy.py": Row(mutants=10, killed=7, timeouts=1, explained=1, open=1)}
    assert explained({**base, "after": "b"}, table) is table[0]
    assert misses(found) == [
        "70.0% of 10 mutants were killed, not 90%",
        "1 survived and nothing explains them: policy.py 1",
    ]
