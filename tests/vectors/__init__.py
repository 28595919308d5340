"""Published test vectors, and where they are read from.

NIST, RFC and CAVP files come with the package ``cryptography-vectors``, some of Wycheproof with
the tests, in ``public/``. The rest of Wycheproof and CCTV are read where they lie: in the folder
that ``MFN_TEST_VECTORS`` names, else in ``../shared/vectors`` beside the repository; tests that
need them skip, with that reason, where the folder is absent. Every test says how many vectors it
ran (see ``conftest.py``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN = Path(__file__).with_name("public")


def public_folder() -> Path:
    """The folder of Wycheproof and CCTV, whether it is there or not."""
    named = os.environ.get("MFN_TEST_VECTORS")
    return Path(named) if named else ROOT.parent / "shared" / "vectors"


def load_public(name: str) -> Any:
    """The parsed JSON file ``name`` of ``public/``, or below :func:`public_folder`.

    Skips where it is absent.
    """
    path = OWN / name if (OWN / name).is_file() else public_folder() / name
    if not path.is_file():
        pytest.skip(f"no vectors at {path}: set MFN_TEST_VECTORS to the folder that has them")
    return json.loads(path.read_text())


def wycheproof(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every (group, test) of the Wycheproof file ``<name>_test.json``."""
    document = load_public(f"wycheproof/{name}_test.json")
    for group in document["testGroups"]:
        for test in group["tests"]:
            yield group, test


def library_text(*parts: str) -> str:
    """A text file of ``cryptography-vectors``."""
    with cryptography_vectors.open_vector_file("/".join(parts), "r") as file:
        return str(file.read())


def response_file(*parts: str) -> Iterator[dict[str, str]]:
    """The records of a NIST ``.rsp`` file: ``NAME = value`` lines parted by blank lines.

    ``[Name = value]`` lines are carried into every record up to the next ones, and a bare
    word such as ``FAIL`` is a member with the value ``""``. Names are in lower case.
    """
    section: dict[str, str] = {}
    record: dict[str, str] = {}
    ended = False
    for raw in [*library_text(*parts).splitlines(), ""]:
        line = raw.strip()
        if line.startswith("#"):
            continue
        if line.startswith("["):
            if ended:
                section, ended = {}, False
            name, _, value = line[1:-1].partition("=")
            section[name.strip().lower()] = value.strip()
        elif line:
            name, _, value = line.partition("=")
            if name.strip().lower() in record:  # some files have no blank lines
                yield {**section, **record}
                record, ended = {}, True
            record[name.strip().lower()] = value.strip()
        elif record:
            yield {**section, **record}
            record, ended = {}, True
