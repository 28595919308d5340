"""The rounds: which servers, which requests, in which order."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.harness import turns
from benchmarks.http import requests, servers
from benchmarks.http.load import Seen, ask, load
from benchmarks.http.process import resident, two_cores
from benchmarks.http.profile import Profile, profiled
from benchmarks.http.requests import Request
from benchmarks.http.servers import Server

REFERENCE, SEALED, RAW, FLOOR = "FastAPI, raw", "service, sealed", "service, raw", "bare ASGI"
JSON, STREAM = "service, JSON", "service, octet-stream"
PARTS = ("single", "operations", "batch", "bulk", "workers", "profile")
_SYNCS = 200
_AGAIN = 2


@dataclass(frozen=True)
class Contender:
    """A server and what it is asked."""

    server: Server
    request: Request


@dataclass(frozen=True)
class Group:
    """Contenders that took turns; the first one is what the others are held beside."""

    connections: int
    rounds: dict[str, list[Seen]]
    items: int = 1
    size: int = requests.KIB


@dataclass
class Results:
    """Everything that one run measured. Memory is resident bytes: at start, after all load."""

    groups: dict[str, Group] = field(default_factory=dict)
    memory: dict[str, tuple[int, int]] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    sync_seconds: float = 0.0
    quick: bool = False


@dataclass(frozen=True)
class Plan:
    """How long it may take: rounds of whole seconds, and with which servers."""

    rounds: int
    seconds: int
    parts: tuple[str, ...]
    with_service: bool = True


def measure(plan: Plan) -> Results:
    """Start the servers, load them in turns, stop them."""
    results = Results()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-http-")))
        results.sync_seconds = sync_seconds(folder)
        if set(plan.parts) & {"single", "operations", "batch", "bulk"}:
            _pinned(plan, folder, results)
        if "workers" in plan.parts:
            print("workers ...", flush=True)
            results.groups["workers"] = _workers(plan, folder)
        if "profile" in plan.parts:
            print("profile ...", flush=True)
            _profiles(plan, folder, results)
    return results


def compare(
    contenders: dict[str, Contender], *, connections: int, rounds: int, seconds: int, cores: str
) -> Group:
    """Load every contender in alternating rounds, after one that does not count.

    A round that others of this machine disturbed is made again; twice at most in a group.
    """
    seen: dict[str, list[Seen]] = {name: [] for name in contenders}
    run = partial(load, connections=connections, cores=cores)
    for each in contenders.values():
        run(each.server, each.request, seconds=1)
    again = _AGAIN
    for names in turns(list(contenders), rounds):
        while True:
            found = {
                name: run(contenders[name].server, contenders[name].request, seconds=seconds)
                for name in names
            }
            if again == 0 or not any(each.disturbed for each in found.values()):
                break
            again -= 1
        for name, each_seen in found.items():
            seen[name].append(each_seen)
    request = next(iter(contenders.values())).request
    return Group(connections, seen, request.items, request.size)


def sync_seconds(folder: Path) -> float:
    """The median of fdatasync after a short append: what durability costs on that disk."""
    times = []
    with (folder / "sync").open("ab", buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(bytes(300))
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def _pinned(plan: Plan, folder: Path, results: Results) -> None:
    """One worker on one core, the load on another."""
    own, other = (str(core) for core in two_cores())
    with ExitStack() as stack:
        fastapi = stack.enter_context(servers.reference(own, folder))
        bare = stack.enter_context(servers.bare(own, folder))
        ours = stack.enter_context(servers.service(own, folder)) if plan.with_service else None
        known = [server for server in (fastapi, ours, bare) if server]
        at_start = {server.name: resident(server.pid) for server in known}

        def part(
            name: str, connections: int, contenders: dict[str, Contender | None], **changed: int
        ) -> None:
            if name.partition(",")[0] not in plan.parts:
                return
            print(f"{name} ...", flush=True)
            there = {label: each for label, each in contenders.items() if each}
            for each in there.values():
                ask(each.server, each.request)
            times = {"rounds": plan.rounds, "seconds": plan.seconds} | changed
            results.groups[name] = compare(
                there, connections=connections, rounds=times["rounds"],
                seconds=times["seconds"], cores=other,
            )  # fmt: skip

        def by(server: Server | None, request: Request) -> Contender | None:
            return Contender(server, request) if server else None

        one, raw_one, signing = requests.encrypt(), requests.encrypt(raw=True), requests.sign()
        short = min(plan.seconds, 2)
        for connections in (64, 16):
            part(f"single, {connections} connections", connections, {
                REFERENCE: by(fastapi, one),
                SEALED: by(ours, one),
                RAW: by(ours, raw_one),
                FLOOR: by(bare, one),
            })  # fmt: skip
        part("operations", 64, {
            "FastAPI, decrypt raw": by(fastapi, requests.decrypt(ask(fastapi, one))),
            "service, decrypt sealed": _after(ours, one, requests.decrypt),
            "service, sign": by(ours, signing),
            "service, verify": _after(ours, signing, partial(requests.verify, signing)),
        }, rounds=min(plan.rounds, 3), seconds=short)  # fmt: skip
        part("batch", 8, {
            REFERENCE: by(fastapi, requests.encrypt_batch()),
            SEALED: by(ours, requests.encrypt_batch()),
            RAW: by(ours, requests.encrypt_batch(raw=True)),
        }, seconds=short)  # fmt: skip
        large = requests.encrypt(requests.MIB)
        part("bulk", 8, {
            "FastAPI, JSON": by(fastapi, large),
            JSON: by(ours, large),
            STREAM: by(ours, requests.encrypt_stream()),
        }, seconds=short)  # fmt: skip
        results.memory = {
            server.name: (at_start[server.name], resident(server.pid)) for server in known
        }


def _after(
    server: Server | None, request: Request, following: Callable[[bytes], Request]
) -> Contender | None:
    """A server and the request that follows from its answer to another one."""
    return Contender(server, following(ask(server, request))) if server else None


def _workers(plan: Plan, folder: Path) -> Group:
    """One worker and two, with the load beside them: for CPU per request and scaling only."""
    both = ",".join(str(core) for core in two_cores())
    with ExitStack() as stack:
        contenders = {}
        for workers in (1, 2):
            label = f"{workers} worker{'s' if workers > 1 else ''}"
            starts: dict[str, AbstractContextManager[Server]] = {
                "FastAPI": servers.reference(both, folder, workers=workers)
            }
            if plan.with_service:
                starts["service"] = servers.service(both, folder, workers=workers)
            for name, start in starts.items():
                server = stack.enter_context(start)
                contenders[f"{name}, {label}"] = Contender(server, requests.encrypt())
                ask(server, requests.encrypt())
        rounds, seconds = min(plan.rounds, 3), min(plan.seconds, 2)
        return compare(contenders, connections=64, rounds=rounds, seconds=seconds, cores=both)


def _profiles(plan: Plan, folder: Path, results: Results) -> None:
    own, other = (str(core) for core in two_cores())
    starts = {"FastAPI": servers.reference}
    if plan.with_service:
        starts["service"] = servers.service
    for name, start in starts.items():
        out = folder / f"{name}.json"
        with start(own, folder, profile=out) as server:
            ask(server, requests.encrypt())
            results.profiles[name] = profiled(
                server, requests.encrypt(), out, seconds=plan.seconds + 1, cores=other
            )
