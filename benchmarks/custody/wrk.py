"""What is compared by rates and latencies is loaded by wrk, which costs little; and what everybody
used of the processor meanwhile."""

from __future__ import annotations

import json
import resource
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.custody.load import LoadFailedError
from benchmarks.http.process import cpu
from tests.support.service import Running

_SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True)
class Request:
    """A POST, sent again and again."""

    url: str
    fields: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Span:
    """Some seconds of load: answers in a second, the p99 in seconds, and by the name of each
    process its CPU seconds for one answer."""

    rate: float
    p99: float
    cpu: dict[str, float]


def to_service(running: Running, path: str, body: str) -> Request:
    fields = {"X-API-Key": running.api_key, "Content-Type": "application/json"}
    return Request(f"{running.url}{path}", fields, body)


def loaded(
    request: Request, *, connections: int, seconds: int, processes: Mapping[str, int]
) -> Span:
    """Load it, and see what ``processes`` used. Raises :class:`LoadFailedError` where one answer
    was not a good one."""
    before, own = {name: cpu(pid).total for name, pid in processes.items()}, _children()
    with tempfile.NamedTemporaryFile("w") as body, tempfile.NamedTemporaryFile("w") as fields:
        body.write(request.body)
        fields.write("".join(f"{name}: {value}\n" for name, value in request.fields.items()))
        body.flush()
        fields.flush()
        command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s"]
        command += ["-s", str(_SCRIPT), request.url, "--", body.name, fields.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    used = {name: cpu(pid).total - before[name] for name, pid in processes.items()}
    used["wrk"] = _children() - own
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or len(lines) != 1:
        raise LoadFailedError(f"wrk failed: {done.stdout[-300:]}{done.stderr[-300:]}")
    said: dict[str, int] = json.loads(lines[0])
    if said["failed"] or not said["requests"]:
        raise LoadFailedError(f"{request.url}: not every answer was good: {said}")
    return Span(
        said["requests"] / said["microseconds"] * 1e6,
        said["p99"] / 1e6,
        {name: seconds / said["requests"] for name, seconds in used.items()},
    )


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
