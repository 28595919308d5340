"""Four times as much as it can do: what is refused, how fast, and what the others wait.

One worker on one core, the clients on another. The capacity is found first, closed loop, then
requests arrive at random at 0.8 of it, at four times as much, and at half of it afterwards. The
same without the bound, as a control: there everybody waits.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.http.process import two_cores
from campaigns.load.processes import Watch
from mycelium_fractal_net import initialise
from tests.support.service import b64, start

if TYPE_CHECKING:
    from campaigns.frame.run import Run
    from tests.support.service import Running

_CLOSED: Final = 24  # connections that ask again at once: little enough to be refused nothing
_ITEMS: Final = 100  # of every other request, a batch; the clients could not keep up with less
_TIMES: Final = 4.0
_SECONDS: Final = {"closed": 6, "calm": 30, "flood": 30, "after": 15}
_QUICK: Final = {"closed": 0.6, "calm": 0.6, "flood": 1.0, "after": 0.5}
_MOST: Final = 2.0  # times the p99 at 0.8 x capacity, or
_BOUND: Final = 0.25  # seconds
_GROWTH: Final = 64.0  # MiB that a flood may take
_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "security": {"tls": {"required": False}},
    "server": {"production": False, "request_signing": "off"},
}


def overload(run: Run) -> dict[str, Any]:
    """Measure with the bound that is the default, and without any."""
    found = {"bounded": _flooded(run, {})}
    run.progress(1, 2, "services")
    found["unbounded"] = _flooded(run, {"max_queue_milliseconds": None})
    return {**found, "failures": _failures(found["bounded"], found["unbounded"], quick=run.quick)}


def _flooded(run: Run, server: dict[str, Any]) -> dict[str, Any]:
    seconds = _QUICK if run.quick else _SECONDS
    place = run.folder / f"service-{time.time_ns()}"
    place.mkdir()
    settings = {**_SETTINGS, "server": {**_SETTINGS["server"], **server}}
    (place / "mfn.json").write_text(json.dumps(settings))
    initialise(home=place / "home").close()
    own, other = (str(core) for core in two_cores())
    with ExitStack() as stack:
        service = start(
            place / "home",
            env={"MFN_CONFIG": str(place / "mfn.json")}, prefix=("taskset", "-c", own),
        )  # fmt: skip
        stack.callback(service.stop)
        watch = stack.enter_context(Watch({"worker": service.process.pid}, 0.25))
        closed = {"connections": _CLOSED, "seconds": seconds["closed"]}
        (first,) = _sent(service, [closed], other)
        ordered = sorted(first["seen"], key=lambda each: each[0])
        used = [each for each in ordered if each[0] > seconds["closed"] / 3]
        served = sum(each[2] == 200 for each in used)
        # A machine that is busy may serve none in a short run: that misses goals, and is no crash.
        capacity = max(served, 1) / (seconds["closed"] * 2 / 3)
        before = watch.seen["worker"]["rss"][-1][1] / 1024
        phases = _sent(
            service,
            [
                {"rate": 0.8 * capacity, "seconds": seconds["calm"]},
                {"rate": _TIMES * capacity, "seconds": seconds["flood"]},
                {"rate": 0.5 * capacity, "seconds": seconds["after"]},
            ],
            other,
        )
        time.sleep(0.5)
        resident = [value / 1024 for _, value in watch.seen["worker"]["rss"]]
    calm, flood, after = (_summed(phase) for phase in phases)
    return {
        "capacity": round(capacity, 1),
        "calm": calm,
        "flood": flood,
        "after": after,
        "well_again_after": _well_again(phases[2]["seen"], seconds["after"]),
        "mib_before": round(before, 1),
        "mib_most": round(max(resident), 1),
        "mib_after": round(resident[-1], 1),
    }


def _request(service: Running, path: str, body: dict[str, Any]) -> str:
    host, port = service.address()
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nX-API-Key: {service.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return b64(head.encode() + content)


def _sent(service: Running, phases: list[dict[str, Any]], core: str) -> list[dict[str, Any]]:
    """What the process of the clients saw, phase by phase."""
    host, port = service.address()
    item = {"data": b64(bytes(200))}
    plan = {
        "host": host,
        "port": port,
        "payloads": [
            _request(service, "/crypto/encrypt", item),
            _request(service, "/crypto/encrypt/batch", {"items": [item] * _ITEMS}),
        ],
        "weights": [1, 1],
        "phases": phases,
    }
    done = subprocess.run(
        ["taskset", "-c", core, sys.executable, "-m", "campaigns.load.arrivals"],
        input=json.dumps(plan).encode(), stdout=subprocess.PIPE, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _summed(phase: dict[str, Any]) -> dict[str, Any]:
    """What came of a phase; times in milliseconds."""
    seen = phase["seen"]
    served = [each[1] for each in seen if each[2] == 200]
    refused = [each for each in seen if each[2] in (429, 503)]
    return {
        "rate": round(phase["rate"], 1),
        "requests": len(seen),
        "served": _times(served),
        "refused": _times([each[1] for each in refused]),
        "refused_without_retry_after": sum(not each[3] for each in refused),
        "other": dict(Counter(each[4] or str(each[2]) for each in seen if each[2] not in _EARLY)),
        "lag": _times([each[5] for each in seen]),
    }


_EARLY: Final = (200, 429, 503)


def _times(seconds: list[float]) -> dict[str, Any]:
    if not seconds:
        return {"count": 0}
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p99": 0.99}
    found = {
        name: round(1000 * ordered[int(share * len(ordered))], 1) for name, share in at.items()
    }
    return {"count": len(ordered), **found, "most": round(1000 * ordered[-1], 1)}


def _well_again(seen: list[list[Any]], seconds: float) -> float | None:
    """When the last one after a flood arrived that was not served.

    None where that was in the last fifth of ``seconds``: then there was no end to see.
    """
    last = max((each[0] for each in seen if each[2] != 200), default=0.0)
    return round(last, 2) if last < 0.8 * seconds else None


def _failures(bounded: dict[str, Any], unbounded: dict[str, Any], *, quick: bool) -> list[str]:
    """What missed its goal; a short run says only whether the excess was refused."""
    flood, calm = bounded["flood"], bounded["calm"]
    failures = []
    if flood["other"]:
        failures.append(f"of {_TIMES:.0f} x capacity some had no answer: {flood['other']}")
    if not flood["refused"]["count"] or flood["refused_without_retry_after"]:
        failures.append("the excess was not refused with Retry-After")
    if unbounded["flood"]["served"].get("p50", 1e9) < 2 * flood["served"]["p50"]:
        failures.append("the control, without a bound, did not wait any longer")
    if quick:
        return failures
    most = max(_MOST * calm["served"]["p99"], 1000 * _BOUND)
    if flood["served"]["p99"] > most:
        failures.append(f"the served waited {flood['served']['p99']:.0f} ms, not {most:.0f} (p99)")
    if bounded["mib_most"] - bounded["mib_before"] > _GROWTH:
        failures.append("the flood took memory")
    if bounded["well_again_after"] is None:
        failures.append("it was not well again")
    return failures
