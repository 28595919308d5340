"""A plugin of pytest: tests draw markers for keys, and what each of them left is searched.

    python -m pytest -p campaigns.leakage.plugin

Every key of 32 bytes and every credential begins with one tag, so that one search finds all of
them. The variable MFN_TEST_LEAKAGE names a folder, with the tag in the file ``tag``; each process
writes what it found there as it ends. Processes that tests start draw markers too (:mod:`.site`).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.support.cli as support
from campaigns.leakage.drawing import draw_markers, drawn
from campaigns.leakage.search import Marker, Searcher, files_below

_FOLDER = Path(os.environ["MFN_TEST_LEAKAGE"])
_KEY, _SECRET = draw_markers((_FOLDER / "tag").read_bytes())
_SEARCHER = Searcher([Marker("keys", _KEY), Marker("credentials", _SECRET)])
_found: dict[str, Counter[str]] = {}
_looked: Counter[str] = Counter()
_where: dict[str, str] = {}

support._SOURCE = f"{Path(__file__).parent / 'site'}{os.pathsep}{support._SOURCE}"  # type: ignore[assignment]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Search a test's folder before it goes."""
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if folder is not None:
        for path in files_below(folder):
            _take(_kind_of(path), path.read_bytes(), f"{item.nodeid}: {path.relative_to(folder)}")
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Search what a test printed and logged."""
    if os.environ.get("PYTEST_XDIST_WORKER") or not report.__dict__.get("node"):
        for name, text in report.sections:
            _take(name.partition(" call")[0], text.encode(), report.nodeid)
        if report.when == "call":
            _looked["tests"] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:  # noqa: ARG001
    """Write what was found."""
    figures: dict[str, Any] = {
        "looked": dict(_looked),
        "found": {place: dict(counts) for place, counts in _found.items()},
        "where": _where,
        "drawn": drawn(),
    }
    (_FOLDER / f"found-{os.getpid()}.json").write_text(json.dumps(figures))


def _kind_of(path: Path) -> str:
    if path.name in ("master.key", "first-api-key"):
        return f"files: {path.name}"
    for ending in (".jsonl", ".db", ".db-wal", ".db-shm", ".mfn", ".pem", ".json", ".key"):
        if path.name.endswith(ending):
            return f"files: *{ending}"
    return "files: others"


def _take(place: str, content: bytes, where: str) -> None:
    _looked[place] += 1
    _looked["bytes"] += len(content)
    counts = _found.setdefault(place, Counter())
    for hit in _SEARCHER.hits(content):
        counts[hit.kind] += 1
        _where.setdefault(f"{place}: {hit.kind}: {hit.form}", where)
