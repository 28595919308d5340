"""The fuzzers, run over their corpora without the fuzzing engine."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import (
    fuzz_backup,
    fuzz_http_signatures,
    fuzz_key_transport,
    fuzz_legacy_xor,
    fuzz_pkcs11_uri,
    fuzz_recipients,
    fuzz_sealed,
    fuzz_signatures,
    fuzz_strict_json,
    fuzz_vault_answers,
)

CORPORA = Path(__file__).resolve().parents[2] / "fuzz" / "corpus"

each_fuzzer = pytest.mark.parametrize(
    ("fuzzer", "folder"),
    [
        (fuzz_signatures, "signatures"),
        (fuzz_recipients, "recipients"),
        (fuzz_key_transport, "key_transport"),
        (fuzz_legacy_xor, "legacy_xor"),
        (fuzz_backup, "backup"),
        (fuzz_pkcs11_uri, "pkcs11_uri"),
        (fuzz_vault_answers, "vault_answers"),
        (fuzz_sealed, "sealed"),
        (fuzz_strict_json, "strict_json"),
        (fuzz_http_signatures, "http_signatures"),
    ],
)


@each_fuzzer
def test_every_input_of_the_corpus_runs_without_a_finding(fuzzer: ModuleType, folder: str) -> None:
    """What was found once stays in the corpus and stays found."""
    inputs = sorted(path for path in (CORPORA / folder).iterdir() if path.is_file())
    assert inputs
    for path in inputs:
        fuzzer.one_input(path.read_bytes())


@each_fuzzer
def test_every_reader_reaches_its_end_on_a_seed(fuzzer: ModuleType, folder: str) -> None:
    """The seeds are well-formed: a reader that raises on its own seed would fuzz nothing."""
    seen = set()
    for seed in fuzzer.seeds().values():
        reader = fuzzer.READERS[seed[0]]
        reader(seed[1:])
        seen.add(reader)
    assert seen == set(fuzzer.READERS)


@each_fuzzer
def test_the_corpus_has_a_seed_for_every_reader(fuzzer: ModuleType, folder: str) -> None:
    """A new reader without a seed would never get past its first check."""
    names = {path.name for path in (CORPORA / folder).iterdir()}
    assert set(fuzzer.seeds()) <= names


@each_fuzzer
@given(data=st.data())
def test_a_seed_with_a_byte_changed_is_no_finding(
    fuzzer: ModuleType, folder: str, data: st.DataObject
) -> None:
    """A little of what the fuzzer does, in every run of the tests."""
    path = data.draw(st.sampled_from(sorted((CORPORA / folder).iterdir())))
    seed = bytearray(path.read_bytes())
    seed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    fuzzer.one_input(bytes(seed))
