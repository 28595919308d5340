"""The load: wrk, and what one run of it says of a server."""

from __future__ import annotations

import http.client
import json
import resource
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.http.process import Used, cpu, spent, two_cores
from benchmarks.http.requests import Request
from benchmarks.http.servers import Server

_SCRIPT = Path(__file__).with_name("post.lua")
_ANSWER_SECONDS = 30
_OTHERS = 0.1  # of a core: more than that, and others took part in what was measured
_WHOLE = 0.97  # of its core: from there on the load is what is measured


class LoadFailedError(Exception):
    """Not every answer was a good one: the run ends, and no figure of it is kept."""


@dataclass(frozen=True)
class Seen:
    """One run: latencies in seconds, CPU seconds of the server per request.

    ``busy`` is the share of its core that the load took. ``disturbed`` says that it was all of it,
    or that others used the two cores meanwhile.
    """

    requests: int
    rate: float
    p50: float
    p99: float
    cpu: Used
    busy: float
    disturbed: bool


def require_wrk() -> None:
    """Raise :class:`LoadFailedError` where a tool is missing that no lock file installs."""
    for tool, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if shutil.which(tool) is None:
            raise LoadFailedError(f"{tool} is missing; on Debian: apt-get install {package}")


def ask(server: Server, request: Request) -> bytes:
    """The answer to one request, which must be good, and right. Raises :class:`LoadFailedError`."""
    answer = _post(server, request)
    following = request.check(answer)
    if server.works:
        for each in following:
            each.check(_post(server, each))
    return answer


def _post(server: Server, request: Request) -> bytes:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=_ANSWER_SECONDS)
    try:
        headers = {server.key_header: server.api_key, "Content-Type": request.content_type}
        connection.request("POST", request.path, request.body, headers)
        answer = connection.getresponse()
        read = answer.read()
    except (OSError, http.client.HTTPException) as error:
        said = server.log.read_text(errors="replace")[-500:]
        raise LoadFailedError(f"{server.name}: {request.path}: {error!r}: {said}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise LoadFailedError(f"{server.name}: {request.path}: {answer.status} {read[:300]!r}")
    return read


def load(server: Server, request: Request, *, connections: int, seconds: float, cores: str) -> Seen:
    """Send one request over and over, for whole seconds.

    Raises :class:`LoadFailedError` where one answer was not a good one, did not come, or is shorter
    than one that was asked for before.
    """
    least = len(_post(server, request))
    both = two_cores()
    all_before, before, own = spent(both), cpu(server.pid), _children()
    said = _wrk(server, request, connections=connections, seconds=seconds, cores=cores)
    used, own = cpu(server.pid).since(before), _children() - own
    others = spent(both) - all_before - used.total - own
    requests, elapsed = said["requests"], said["microseconds"] / 1e6
    failed = {name: said[name] for name in ("refused", "broken", "late") if said[name]}
    if failed or not requests or said["bytes"] < requests * least:
        raise LoadFailedError(f"{server.name}: {request.path}: not every answer was good: {said}")
    server.acknowledged += requests
    return Seen(
        requests=requests,
        rate=requests / elapsed,
        p50=said["p50"] / 1e6,
        p99=said["p99"] / 1e6,
        cpu=Used(used.user / requests, used.system / requests),
        busy=own / elapsed,
        disturbed=others > _OTHERS * elapsed or own > _WHOLE * elapsed,
    )


def _wrk(
    server: Server, request: Request, *, connections: int, seconds: float, cores: str
) -> dict[str, int]:
    with tempfile.NamedTemporaryFile() as body:
        body.write(request.body)
        body.flush()
        command = [
            "taskset", "-c", cores, "wrk", "-t", "1", "-c", str(connections),
            "-d", f"{round(seconds)}s", "--timeout", f"{_ANSWER_SECONDS}s", "-s", str(_SCRIPT),
            f"http://{server.host}:{server.port}{request.path}",
            "--", body.name, request.content_type, str(server.key_file),
            server.key_header,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or len(lines) != 1:
        raise LoadFailedError(f"wrk failed: {done.stdout[-300:]}{done.stderr[-300:]}")
    said: dict[str, int] = json.loads(lines[0])
    return said


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
