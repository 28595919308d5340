"""Where the time of a request goes: samples of the server's main thread, by the code's owner."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from benchmarks.http.load import load
from benchmarks.http.process import threads
from benchmarks.http.requests import Request
from benchmarks.http.servers import Server

_WRITE_SECONDS = 10.0
_LOOP = ("/uvicorn/server.py", "/asyncio/runners.py", "/uvloop/__init__.py")
_LEAST = 0.01  # of the whole; what is less is shown in one row

LOOP, THREADS, REST = "event loop, reading sockets", "other threads", "what is under 1 %"


@dataclass(frozen=True)
class Profile:
    """CPU seconds of one request, most first: by owner of the code, and by function."""

    owners: dict[str, float]
    functions: dict[str, float]


def profiled(server: Server, request: Request, out: Path, *, seconds: float, cores: str) -> Profile:
    """Load a server that runs under ``sampled`` and read what it counted into ``out``."""
    load(server, request, connections=64, seconds=1, cores=cores)
    os.kill(server.pid, signal.SIGUSR2)
    before = threads(server.pid)
    seen = load(server, request, connections=64, seconds=seconds, cores=cores)
    beside = threads(server.pid) - before
    os.kill(server.pid, signal.SIGUSR2)
    deadline = time.monotonic() + _WRITE_SECONDS
    while not out.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    owners: dict[str, float] = defaultdict(float)
    functions: dict[str, float] = defaultdict(float)
    for weight, *stack in json.loads(out.read_text()):
        owners[owner(stack)] += weight / seen.requests
        functions[function(stack)] += weight / seen.requests
    if beside:
        owners[THREADS] += beside / seen.requests
    return Profile(_most_first(owners), _most_first(functions))


def owner(stack: list[str]) -> str:
    """Whose code a sample is in; C code is its caller's."""
    if not stack or any(place in stack[0] for place in _LOOP):
        return LOOP
    path = Path(stack[0].rpartition(":")[0])
    parts = path.with_suffix("").parts
    for root, depth in (("mycelium_fractal_net", 3), ("site-packages", 2), ("benchmarks", 3)):
        if root in parts:
            at = len(parts) - 1 - parts[::-1].index(root)
            first = at + 1 if root == "site-packages" else at
            return "/".join(parts[first : at + depth])
    return f"standard library: {parts[-1] if len(parts) else 'frozen'}"


def function(stack: list[str]) -> str:
    """The innermost function of a sample, with the last two parts of its file."""
    if not stack:
        return LOOP
    path, _, name = stack[0].rpartition(":")
    return f"{'/'.join(Path(path).parts[-2:])}:{name}"


def _most_first(seconds: dict[str, float]) -> dict[str, float]:
    least = _LEAST * sum(seconds.values())
    kept = {name: each for name, each in seconds.items() if each >= least}
    rest = sum(seconds.values()) - sum(kept.values())
    found = dict(sorted(kept.items(), key=lambda each: -each[1]))
    return found | {REST: rest} if rest else found
