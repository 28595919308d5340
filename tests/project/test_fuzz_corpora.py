"""The fuzzers, run over their corpora without the fuzzing engine."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

CORPORA = Path(__file__).resolve().parents[2] / "fuzz" / "corpus"

each_fuzzer = pytest.mark.parametrize("folder", sorted(path.name for path in CORPORA.iterdir()))


def fuzzer_of(folder: str) -> ModuleType:
    """The one with that corpus; some make keys when they are imported, which FIPS mode refuses."""
    return importlib.import_module(f"fuzz.fuzz_{folder}")


def test_every_fuzzer_has_a_corpus() -> None:
    """One without would not be run here."""
    names = {path.stem for path in CORPORA.parent.glob("fuzz_*.py")}
    assert names == {f"fuzz_{path.name}" for path in CORPORA.iterdir()}


@each_fuzzer
def test_every_input_of_the_corpus_runs_without_a_finding(folder: str) -> None:
    """What was found once stays in the corpus and stays found."""
    inputs = sorted(path for path in (CORPORA / folder).iterdir() if path.is_file())
    assert inputs
    for path in inputs:
        fuzzer_of(folder).one_input(path.read_bytes())


@each_fuzzer
def test_every_reader_reaches_its_end_on_a_seed(folder: str) -> None:
    """The seeds are well-formed: a reader that raises on its own seed would fuzz nothing."""
    seen = set()
    fuzzer = fuzzer_of(folder)
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
@given(data=st.data())
def test_a_seed_with_a_byte_changed_is_no_finding(folder: str, data: st.DataObject) -> None:
    """A little of what the fuzzer does, in every run of the tests."""
    path = data.draw(st.sampled_from(sorted((CORPORA / folder).iterdir())))
    seed = bytearray(path.read_bytes())
    seed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    fuzzer_of(folder).one_input(bytes(seed))
