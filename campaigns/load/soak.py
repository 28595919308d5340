"""An hour of mixed traffic over every route, with a rotation every ten seconds.

A soak is one stretch of one service that keeps running: where it is ended early, it begins anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from campaigns.load.processes import MEASURES, Watch
from campaigns.load.slopes import fitted, means
from campaigns.load.traffic import Traffic
from mycelium_fractal_net import initialise
from tests.support.cli import PROGRAM, environment
from tests.support.service import start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from campaigns.frame.run import Run
    from tests.support.service import Running

SECONDS: Final = 3600.0
WARM_UP_SECONDS: Final = 600.0
RATE: Final = 30.0  # requests a second
WORKERS: Final = 2
_BACKUP_SECONDS: Final = 60.0
_QUICK: Final = (6.0, 1.5)  # seconds, of which the first do not count
_WIDTH: Final = 60.0  # a point of the fit is the mean of a minute
_LEAK: Final = (8192, 0.02)  # bytes and descriptors a second, of the control: 28 MiB and 72 an hour
_QUICK_LEAK: Final = (1 << 20, 2.0)
_MOST_AN_HOUR: Final = {"rss": 16.0, "pss": 16.0, "descriptors": 1.0, "threads": 1.0}
"""What a process may grow by (MiB, and counts), at the lower end of the interval."""
_DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "openapi.json"
_MIB: Final = 1024  # KiB


def soak(run: Run) -> dict[str, Any]:
    """The store is SQLite."""
    return _soaked(run, {})


def operations() -> set[str]:
    """Every operation of the OpenAPI document, as ``METHOD /path``."""
    paths: dict[str, dict[str, Any]] = json.loads(_DOCUMENT.read_text())["paths"]
    return {f"{method.upper()} {path}" for path, each in paths.items() for method in each}


def _soaked(run: Run, env: dict[str, str]) -> dict[str, Any]:
    seconds, warm_up = _QUICK if run.quick else (SECONDS, WARM_UP_SECONDS)
    leak = _QUICK_LEAK if run.quick else _LEAK
    home = run.folder / f"home-{time.time_ns()}"
    initialise(home=home).close()
    env = {"MFN_REQUEST_SIGNING": "optional", **env}
    began = time.strftime("%Y-%m-%d %H:%M")
    with ExitStack() as stack:
        log = stack.enter_context((run.folder / "service.log").open("wb"))
        service = start(home, "--workers", str(WORKERS), env=env, stderr=log)
        stack.callback(service.stop)
        pids = {"parent": service.process.pid}
        pids |= {f"worker {n + 1}": pid for n, pid in enumerate(service.workers())}
        pids["control"] = stack.enter_context(_leaking(*leak))
        traffic = Traffic(service.url, service.api_key, RATE * (5 if run.quick else 1))
        traffic.prepare()
        watch = stack.enter_context(Watch(pids, 0.2 if run.quick else 1.0))
        traffic.start()
        try:
            backups = _beside(run, service, home, env, seconds)
        finally:
            traffic.end()
        restarted = set(service.workers()) != {pid for name, pid in pids.items() if name[0] == "w"}
    growth = _growth(watch, warm_up, 0.5 if run.quick else _WIDTH)
    failures = [
        *_wrong(traffic),
        *(["a worker ended"] if restarted or watch.gone else []),
        *([f"{backups['failed']} backups failed"] if backups["failed"] else []),
        *_control_failures(growth["growth"]["control"], leak),
        *([] if run.quick else _growth_failures(growth["growth"])),
    ]
    return {
        "began": began,
        "wanted_seconds": seconds,
        "rate": RATE,
        "warm_up_seconds": warm_up,
        "workers": WORKERS,
        "backups": backups,
        "rotations": traffic.rotations,
        **_answers(traffic),
        **growth,
        "control": {"mib_per_hour": leak[0] * 3600 / 2**20, "descriptors_per_hour": leak[1] * 3600},
        "failures": failures,
    }


def _beside(
    run: Run, service: Running, home: Path, env: dict[str, str], seconds: float
) -> dict[str, int]:
    """While the traffic runs: backups by the command line, each minute and once at least."""
    began = time.monotonic()
    file = home.parent / f"{home.name}.backup"
    made = failed = 0
    due = min(_BACKUP_SECONDS, seconds / 3)
    while (passed := time.monotonic() - began) < seconds:
        run.progress(passed, seconds, "seconds")
        run.pause_if_due()
        if service.process.poll() is not None:
            break
        if passed >= due:
            due += _BACKUP_SECONDS
            done = subprocess.run(
                [*PROGRAM, "--home", str(home), "--quiet", "backup", "--force", str(file)],
                env=environment(env), stdin=subprocess.DEVNULL, capture_output=True, check=False,
            )  # fmt: skip
            made += done.returncode == 0
            failed += done.returncode != 0
        time.sleep(0.5)
    return {"made": made, "failed": failed}


@contextmanager
def _leaking(size: int, descriptors: float) -> Iterator[int]:
    """The process id of the control."""
    module = ("-m", "campaigns.load.leaking", str(size), str(descriptors))
    with subprocess.Popen([sys.executable, *module], stdin=subprocess.PIPE) as process:
        try:
            yield process.pid
        finally:
            process.communicate()


def _answers(traffic: Traffic) -> dict[str, Any]:
    """How many answers of which status, and how long they took in milliseconds."""
    ledger = traffic.ledger
    statuses: dict[str, int] = {}
    for each, count in ledger.answers.items():
        status = each[-3:]
        statuses[status] = statuses.get(status, 0) + count
    answers = ledger.answers
    made = {
        "keys": answers["POST /keys 201"] + answers["POST /imports/{import_id}/finish 201"],
        "versions": answers["POST /keys/{key_id}/rotate 200"],
        "credentials": answers["POST /credentials 201"],
        "signers": answers["POST /signers 201"],
    }
    return {
        "requests": sum(answers.values()),
        "statuses": dict(sorted(statuses.items())),
        "operations": len(ledger.served()),
        "made": made,
        "milliseconds": {
            name: _percentiles(ledger.times(*operations))
            for name, operations in (("all", ()), ("encrypt", ("POST /crypto/encrypt",)))
        },
        "unexpected": dict(ledger.unexpected),
        "unexpected_examples": ledger.examples,
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    found = {
        name: ordered[min(int(share * len(ordered)), len(ordered) - 1)]
        for name, share in at.items()
    }
    return {name: round(1000 * each, 2) for name, each in (found | {"most": ordered[-1]}).items()}


def _growth(watch: Watch, warm_up: float, width: float) -> dict[str, Any]:
    """Of each process and measure: a line through what was seen, and what it begins and ends at."""
    growth: dict[str, Any] = {}
    for name, measures in watch.seen.items():
        growth[name] = {}
        for measure in MEASURES:
            seen = measures[measure]
            unit = _MIB if measure in ("rss", "pss") else 1
            points = means([(t - warm_up, v / unit) for t, v in seen if t >= warm_up], width)
            line = fitted(points)
            growth[name][measure] = {
                "at_start": round(seen[0][1] / unit, 2),
                "after_warm_up": round(points[0][1], 2),
                "at_end": round(points[-1][1], 2),
                "most": round(max(v for _, v in seen) / unit, 2),
                "per_hour": round(line.per_hour, 3),
                "error": round(line.error, 3),
                "low": round(line.low, 3),
                "high": round(line.high, 3),
                "flat": line.is_flat,
                "points": [
                    round(value, 2) for _, value in means([(t, v / unit) for t, v in seen], width)
                ],
            }
    return {"growth": growth, "samples": len(watch.seen["parent"]["rss"])}


def _control_failures(control: dict[str, Any], leak: tuple[int, float]) -> list[str]:
    """What leaks on purpose must be found, and as large as it is, to within a fifth."""
    failures = []
    for measure, known in (("rss", leak[0] * 3600 / 2**20), ("descriptors", leak[1] * 3600)):
        seen = control[measure]
        if seen["flat"] or not 0.8 < seen["per_hour"] / known < 1.2:
            failures.append(f"{measure}: the control's leak of {known:.0f} an hour was not found")
    return failures


def _growth_failures(growth: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {measure} grow by {seen['per_hour']:.1f} an hour"
        for name, measures in growth.items()
        for measure, seen in measures.items()
        if name != "control" and seen["low"] > _MOST_AN_HOUR[measure]
    ]


def _wrong(traffic: Traffic) -> list[str]:
    """What misses a goal in the answers."""
    failures = [f"{count} x {what}" for what, count in sorted(traffic.ledger.unexpected.items())]
    if missing := sorted(operations() - traffic.ledger.served()):
        failures.append(f"no success of {', '.join(missing)}")
    return failures
