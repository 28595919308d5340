"""A test process that has imported everything, and forks: one child runs the tests of one mutant.

Run as ``python -m campaigns.mutation.zygote warm|cold FILES...`` in a copy of the tree. It takes
one JSON request a line, and answers with one. Warm, the mutant is put into the child's functions;
cold, it is written to the disk, and the child imports it, as does every process that a test starts.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from _pytest.runner import runtestprotocol

from campaigns.mutation import patching

_MEMORY: Final = 8 << 30  # bytes of addresses; a mutant may allocate without an end
_FILE: Final = 1 << 30
_ASLEEP: Final = 60.0  # seconds; a machine that is busy has a child wait for its turn, not asleep
_LOOK: Final = 0.25
_PRELOADED: Final = (
    "alembic.command", "cryptography.hazmat.primitives.asymmetric.rsa", "fastapi", "httpx",
    "hypothesis", "hypothesis.stateful", "numpy", "psycopg", "pydantic", "pytest_cov.plugin",
    "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite",
    "typer", "uvicorn",
)  # fmt: skip
_OPTIONS: Final = (
    "-q", "-p", "no:cacheprovider", "-m", "not long", "--timeout", "0",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # of plugins that were preloaded
)  # fmt: skip
Request = dict[str, Any]
Answer = dict[str, Any]


class _Warm:
    """Collects once; its loop runs no test itself."""

    def __init__(self, lines: Iterator[str], answers: Any) -> None:
        self._lines = lines
        self._answers = answers
        self._functions: dict[str, patching.Functions] = {}
        self._living: dict[str, patching.Living] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        from hypothesis import settings

        settings.load_profile("ci")  # the same examples each time
        items = {item.nodeid: item for item in session.items}
        costly = _costly(items)
        gc.unfreeze()  # what the tests' conftest froze is in no list of living objects
        self._functions = patching.functions_by_file()
        gc.collect()
        gc.freeze()  # a collection in a child would have each page copied that the parent has
        _say(self._answers, {"tests": sorted(items), "costly": sorted(costly)})
        for line in self._lines:
            request: Request = json.loads(line)
            path = str(Path(request["file"]).resolve())
            if path not in self._living:
                source = Path(path).read_text()
                self._living[path] = patching.Living(path, source, self._functions.get(path, {}))
            work = partial(self._run, session, items, path, request)
            _say(self._answers, _forked(work, request))
        return True

    def _run(
        self, session: pytest.Session, items: dict[str, pytest.Item], path: str, request: Request
    ) -> Answer:
        if request["source"] is not None:
            try:
                if not self._living[path].patched(request["source"]):
                    return {"outcome": "not warm"}
            except Exception as error:
                return {"outcome": "killed", "by": f"it is not even imported: {error!r}"}
        factory: Any = session.config._tmp_path_factory  # type: ignore[attr-defined]
        factory._basetemp = Path(request["temporary"])
        chosen = [items[name] for name in request["tests"]]
        seconds: dict[str, float] = {}
        for item, following in zip(chosen, [*chosen[1:], None], strict=True):
            began = time.process_time()
            reports = runtestprotocol(item, log=False, nextitem=following)
            seconds[item.nodeid] = round(time.process_time() - began, 4)
            if any(report.failed for report in reports):
                return {"outcome": "killed", "by": item.nodeid, "ran": len(seconds)}
        return {"outcome": "survived", "ran": len(seconds), "seconds": seconds}


def _costly(items: Mapping[str, pytest.Item]) -> set[str]:
    """The tests that have something started for the session, which no fork inherits.

    A fixture that every test has starts nothing by itself.
    """
    used: dict[str, dict[str, Any]] = {
        name: getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009
        for name, item in items.items()
    }
    by_all = set.intersection(*map(set, used.values())) if used else set()
    return {
        name
        for name, fixtures in used.items()
        for fixture, (*_, found) in fixtures.items()
        if fixture not in by_all
        and found.scope == "session"
        and found.func.__module__.startswith("tests.")
    }


class _FirstFailure:
    by = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.by:
            self.by = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.by:
            self.by = f"{report.nodeid} is not even imported"


def _run_cold(request: Request) -> Answer:
    told = _FirstFailure()
    folder = request["temporary"]
    code = pytest.main(
        [*_OPTIONS, "-x", "--hypothesis-profile=ci", "--basetemp", folder, *request["tests"]],
        plugins=[told],
    )
    if code == pytest.ExitCode.OK:
        return {"outcome": "survived", "ran": len(request["tests"])}
    return {"outcome": "killed", "by": told.by or "it is not even imported"}


def _cold(lines: Iterator[str], answers: Any) -> None:
    for name in _PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    _say(answers, {"tests": [], "costly": []})
    for line in lines:
        request: Request = json.loads(line)
        path = Path(request["file"])
        was, times = path.read_bytes(), path.stat()
        try:
            if request["source"] is not None:
                path.write_text(request["source"])
            answer = _forked(partial(_run_cold, request), request)
        finally:
            path.write_bytes(was)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # its .pyc holds again
        _say(answers, answer)


def _forked(work: Callable[[], Answer], request: Request) -> Answer:
    """What a child answers; it, and all that it started, is ended when its time is over."""
    shutil.rmtree(request["temporary"], ignore_errors=True)
    Path(request["temporary"]).mkdir(parents=True)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            os.setsid()
            cpu = int(request["cpu"])
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
            resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE, _FILE))
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.write(writing, json.dumps(work()).encode())
            status = 0
        except BaseException as error:
            with contextlib.suppress(OSError):
                broken = {"outcome": "killed", "by": f"the run itself: {type(error).__name__}"}
                os.write(writing, json.dumps(broken).encode())
        finally:
            os._exit(status)  # no finalizer of what the parent holds
    os.close(writing)
    try:
        return _awaited(child, reading)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        shutil.rmtree(request["temporary"], ignore_errors=True)


def _awaited(child: int, reading: int) -> Answer:
    asleep = 0.0
    while True:
        if select.select([reading], [], [], _LOOK)[0]:
            text = b""
            while some := os.read(reading, 1 << 16):
                text += some
                if text.endswith(b"}"):
                    break
            if text:
                answer: Answer = json.loads(text)
                return answer
            status = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
            if status is not None and status.si_status == signal.SIGXCPU:
                return {"outcome": "timeout", "by": "its processor time was over"}
            return {"outcome": "killed", "by": "the process ended"}
        state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        asleep += _LOOK if state == "S" else 0.0
        if asleep > _ASLEEP:
            return {"outcome": "timeout", "by": "it waited without an end"}


def _say(answers: Any, what: Answer) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()


def main() -> None:
    """Serve until the input ends."""
    kind, *files = sys.argv[1:]
    with os.fdopen(os.dup(0), "r") as requests, os.fdopen(os.dup(1), "w") as answers:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        lines = iter(requests.readline, "")
        if kind == "cold":
            _cold(lines, answers)
            return
        code = pytest.main([*_OPTIONS, *files], plugins=[_Warm(lines, answers)])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        print(f"the tests are not collected: {code!r}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
