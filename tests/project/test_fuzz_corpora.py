"""The fuzzers, run over their corpora without the fuzzing engine; and that no parser lacks one."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType, ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.parsers import DECODERS, NOT_FUZZED, PARSERS

ROOT = Path(__file__).resolve().parents[2]
CORPORA = ROOT / "fuzz" / "corpus"
PACKAGE = ROOT / "src" / "mycelium_fractal_net"
NAMES = sorted(path.stem.removeprefix("fuzz_") for path in (ROOT / "fuzz").glob("fuzz_*.py"))

each_fuzzer = pytest.mark.parametrize("folder", NAMES)


def fuzzer_of(folder: str) -> ModuleType:
    """The one of that corpus; some make keys when they are imported, which FIPS mode refuses."""
    return import_module(f"fuzz.fuzz_{folder}")


@each_fuzzer
def test_every_input_of_the_corpus_runs_without_a_finding(folder: str) -> None:
    """What was found once stays found; and the corpus reaches each parser that it is for."""
    fuzzer, reached = fuzzer_of(folder), set[tuple[str, CodeType]]()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            reached.add((frame.f_globals.get("__name__", ""), frame.f_code))

    inputs = sorted(path for path in (CORPORA / folder).iterdir() if path.is_file())
    assert inputs
    sys.setprofile(note)
    try:
        for path in inputs:
            fuzzer.one_input(path.read_bytes())
    finally:
        sys.setprofile(None)
    called = {
        f"{module.removeprefix('mycelium_fractal_net.')}:{code.co_qualname}"
        for module, code in reached
    }
    assert set(PARSERS[folder]) <= called


@each_fuzzer
def test_every_reader_reaches_its_end_on_a_seed(folder: str) -> None:
    """The seeds are well-formed: a reader that raises on its own seed would fuzz nothing."""
    fuzzer, seen = fuzzer_of(folder), set()
    for seed in fuzzer.seeds().values():
        reader = fuzzer.READERS[seed[0]]
        reader(seed[1:])
        seen.add(reader)
    assert seen == set(fuzzer.READERS)


@each_fuzzer
def test_the_corpus_has_a_seed_for_every_reader(folder: str) -> None:
    """A new reader without a seed would never get past its first check."""
    names = {path.name for path in (CORPORA / folder).iterdir()}
    assert set(fuzzer_of(folder).seeds()) <= names


@each_fuzzer
@settings(max_examples=30)
@given(data=st.data())
def test_a_seed_with_a_byte_changed_is_no_finding(folder: str, data: st.DataObject) -> None:
    """A little of what the fuzzer does, in every run of the tests."""
    path = data.draw(st.sampled_from(sorted((CORPORA / folder).iterdir())))
    seed = bytearray(path.read_bytes())
    seed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    fuzzer_of(folder).one_input(bytes(seed))


_WORDS = {*DECODERS, "msgspec"}


def _decoding(path: Path) -> Iterator[str]:
    """The functions of a file that call something that decodes."""
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")

    def walk(node: ast.AST, names: tuple[str, ...]) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            inner = names
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = (*names, child.name)
            elif isinstance(child, ast.Call) and names and _decodes(child.func):
                yield f"{module}:{'.'.join(names)}"
            yield from walk(child, inner)

    text = path.read_text()
    return walk(ast.parse(text), ()) if any(each in text for each in _WORDS) else iter(())


def _decodes(called: ast.expr) -> bool:
    if isinstance(called, ast.Attribute):
        of_msgspec = called.attr == "decode" and "msgspec" in ast.unparse(called.value)
        return called.attr in DECODERS or of_msgspec
    return isinstance(called, ast.Name) and called.id in DECODERS


def test_every_function_that_decodes_has_a_target_or_a_reason() -> None:
    """A parser that nobody fuzzes is added to a target, or it is said why it needs none."""
    found = {each for path in PACKAGE.rglob("*.py") for each in _decoding(path)}
    fuzzed = {each for parsers in PARSERS.values() for each in parsers}
    assert found <= fuzzed | set(NOT_FUZZED)
    assert set(NOT_FUZZED) <= found
    assert not fuzzed & set(NOT_FUZZED)
    assert set(PARSERS) == set(NAMES)
