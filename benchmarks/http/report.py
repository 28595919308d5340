"""What was measured, as a table, as JSON and as a plot."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.http.load import Seen
from benchmarks.http.measure import (
    JSON,
    OPENBAO,
    OPENBAO_AUDIT,
    RAW,
    SEALED,
    STREAM,
    Group,
    Results,
)
from benchmarks.http.profile import Profile
from benchmarks.http.requests import MIB
from benchmarks.report import Goal, goals_table, machine

# What is to be reached beside OpenBao: group, ours, theirs, how many times its rate.
_BESIDE_OPENBAO = (
    ("single, 64 connections", SEALED, OPENBAO_AUDIT, 4),
    ("single, 16 connections", SEALED, OPENBAO_AUDIT, 3),
    ("single, 16 connections", SEALED, OPENBAO, 2),
    ("batch", SEALED, OPENBAO_AUDIT, 4),
    ("batch", RAW, OPENBAO_AUDIT, 7),
)
_FUNCTIONS = 15
_GROWTH_MIB = 128  # eight bodies of 1 MiB at once, as JSON, with their copies, and buffers


def goals(results: Results) -> list[Goal]:
    """The figures that were to be reached; those of what was not measured are left out."""
    found: list[Goal] = []

    def at_least(what: str, limit: float, values: list[float], unit: str) -> None:
        value = statistics.median(values)
        found.append(Goal(what, f">= {limit:,g} {unit}", _spread(values, unit), value >= limit))

    for connections, limit in ((64, 2.2), (16, 1.7)):
        group = results.groups.get(f"single, {connections} connections")
        if group is None or SEALED not in group.rounds:
            continue
        what = f"`/crypto/encrypt`, 1 KiB, sealed, {connections} connections"
        at_least(f"{what}, requests/s beside FastAPI", limit, beside(group, SEALED), "x")
        used = [each.cpu.total * 1e6 for each in group.rounds[SEALED]]
        met = statistics.median(used) <= 130
        found.append(Goal(f"{what}, CPU of a request", "<= 130 us", _spread(used, "us"), met))
    if ours := results.memory.get("service"):
        grown = [(size - ours["at start"]) / MIB for size in ours.values()]
        found.append(
            Goal(
                "memory of the service, above that at start, after any part of the load",
                f"<= {_GROWTH_MIB} MiB",
                f"{max(grown):,.1f} MiB",
                max(grown) <= _GROWTH_MIB,
            )
        )
    batch = results.groups.get("batch")
    if batch and SEALED in batch.rounds:
        for name, limit in ((SEALED, 60_000), (RAW, 100_000)):
            rates = [each.rate * batch.items for each in batch.rounds[name]]
            at_least(f"batch of 100, 1 KiB each, {name}", limit, rates, "items/s")
    for name, ours_is, theirs, limit in _BESIDE_OPENBAO:
        beside_it = results.groups.get(name)
        if beside_it and {ours_is, theirs} <= set(beside_it.rounds):
            what = f"{_TITLES[name]}: {ours_is}, beside {theirs}"
            at_least(what, limit, beside(beside_it, ours_is, theirs), "x")
    bulk = results.groups.get("bulk")
    if bulk and STREAM in bulk.rounds:
        speeds = [each.rate * bulk.size / MIB for each in bulk.rounds[STREAM]]
        at_least("1 MiB as octet-stream", 500, speeds, "MiB/s")
        pairs = zip(bulk.rounds[STREAM], bulk.rounds[JSON], strict=True)
        at_least("1 MiB as octet-stream beside JSON", 3, [a.rate / b.rate for a, b in pairs], "x")
    return found


def beside(group: Group, name: str, base: str | None = None) -> list[float]:
    """Each round's rate held beside that of another, or of the first contender, in that round."""
    first = group.rounds[base or next(iter(group.rounds))]
    return [own.rate / other.rate for own, other in zip(group.rounds[name], first, strict=True)]


def markdown(results: Results) -> str:
    """The document."""
    lines = [
        "# The service under load",
        "",
        f"`make bench-http` on {datetime.now(UTC):%Y-%m-%d}"
        f"{', a quick run' if results.quick else ''}: {machine()}, {_versions()}.",
        "",
        "The reference is plain FastAPI (`benchmarks/http/reference.py`): async endpoints, pydantic"
        " models, one API key, bare AES-256-GCM, no audit. The service does all that it does:"
        " credentials and scopes, strict JSON, an audit record that is synced before the answer."
        " OpenBao is its real server, with its transit engine and a token that may use one key;"
        " its audit is written to a file and not synced."
        " The floor is an ASGI endpoint that does nothing. The others run on uvicorn with uvloop"
        " and httptools. One worker pinned to one core; wrk, pinned to another, asks as fast as it"
        " is answered, so latencies are those of a server that is never idle. Loopback. Contenders"
        " take turns; a figure is a median, with the least and the greatest in brackets.",
        "",
        f"fdatasync on this disk takes {results.sync_seconds * 1e6:,.0f} us (median).",
    ]
    if found := goals(results):
        lines += ["", *goals_table(found)]
    for name, group in results.groups.items():
        lines += ["", f"## {_TITLES.get(name, name.capitalize())}", "", *_table(name, group)]
    if results.memory:
        lines += [
            "",
            "## Memory",
            "",
            "Resident MiB of one worker after each part of the load.",
            "",
        ]
        moments = list(next(iter(results.memory.values())))
        lines += [f"| | {' | '.join(moments)} |", "| --- |" + " --- |" * len(moments)]
        lines += [
            f"| {name} | {' | '.join(f'{size / MIB:,.1f}' for size in sizes.values())} |"
            for name, sizes in results.memory.items()
        ]
    for name, profile in results.profiles.items():
        lines += ["", f"## Where the time goes: {name}", "", *_profile_tables(profile)]
    if count := sum(each.disturbed for g in results.groups.values() for s in g.rounds.values()
                    for each in s):  # fmt: skip
        lines += ["", f"Others used the machine, or the load its whole core, in {count} rounds."]
    return "\n".join(lines) + "\n"


_TITLES = {
    "single, 64 connections": "One message of 1 KiB, 64 connections",
    "single, 16 connections": "One message of 1 KiB, 16 connections",
    "operations": "Other operations, 1 KiB, 64 connections",
    "batch": "A batch of 100 messages of 1 KiB, 8 connections",
    "bulk": "One message of 1 MiB, 8 connections",
    "workers": "Two workers on two cores, which they share with the load",
}


def _table(name: str, group: Group) -> list[str]:
    if name == "workers":
        return _workers_table(group)
    extra = {"batch": "items/s | ", "bulk": "MiB/s | "}.get(name, "")
    lines = [
        f"| | requests/s | beside | {extra}p50 | p99 | CPU of a request | user + system |",
        "| --- |" + " --- |" * (7 if extra else 6),
    ]
    for label, seen in group.rounds.items():
        rate = _median(seen, "rate")
        same = name != "operations" or "decrypt" in label
        beside_it = _spread(beside(group, label), "x") if same else ""
        per = group.items if name == "batch" else group.size / MIB
        more = f"{rate * per:,.0f} | " if extra else ""
        lines.append(
            f"| {label} | {rate:,.0f} | {beside_it} | {more}"
            f"{_median(seen, 'p50') * 1e3:.2f} ms | {_median(seen, 'p99') * 1e3:.2f} ms"
            f" | {_cpu(seen)} |"
        )
    return lines


def _workers_table(group: Group) -> list[str]:
    lines = [
        "The load takes what it needs from both cores, so this shows only what a request costs and"
        " what the second worker adds.",
        "",
        "| | CPU of a request | user + system | requests/s of two beside one |",
        "| --- | --- | --- | --- |",
    ]
    for label, seen in group.rounds.items():
        one = group.rounds[label.replace("2 workers", "1 worker")]
        scaling = [two.rate / each.rate for two, each in zip(seen, one, strict=True)]
        shown = _spread(scaling, "x") if "2 workers" in label else ""
        lines.append(f"| {label} | {_cpu(seen)} | {shown} |")
    return lines


def _profile_tables(profile: Profile) -> list[str]:
    total = sum(profile.owners.values())
    lines = [
        f"{total * 1e6:.0f} us of CPU for a request of 1 KiB at 64 connections, sampled in the main"
        " thread; C code, the kernel's included, counts for the Python function that called it.",
    ]
    for title, rows in (
        ("owner of the code", profile.owners),
        ("function", dict(list(profile.functions.items())[:_FUNCTIONS])),
    ):
        lines += ["", f"| {title} | us | |", "| --- | --- | --- |"]
        lines += [
            f"| `{name}` | {seconds * 1e6:.1f} | {seconds / total:.0%} |"
            for name, seconds in rows.items()
        ]
    return lines


def as_json(results: Results) -> str:
    """Every round, and the goals."""
    document = {
        "machine": f"{machine()}, {_versions()}",
        "quick": results.quick,
        "fdatasync_seconds": results.sync_seconds,
        "goals": [asdict(goal) for goal in goals(results)],
        "groups": {name: asdict(group) for name, group in results.groups.items()},
        "memory": results.memory,
        "profiles": {name: asdict(profile) for name, profile in results.profiles.items()},
    }
    return json.dumps(document, indent=1) + "\n"


def plot(results: Results, folder: Path) -> None:
    """Write ``http.svg``; nothing where matplotlib is not installed or nothing was measured."""
    groups = [g for name, g in results.groups.items() if name.startswith("single")]
    try:
        import matplotlib
    except ImportError:
        return
    if not groups:
        return
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "mycelium"  # the same picture gives the same file
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
    _draw_rates(left, groups)
    _draw_cpu(right, groups[0])
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / "http.svg", metadata={"Date": None}, facecolor="white")
    pyplot.close(figure)


def _draw_rates(axes: Any, groups: list[Group]) -> None:
    names = list(groups[0].rounds)
    height = 0.8 / len(groups)
    for at, (group, shade) in enumerate(zip(groups, ("#0b6e4f", "#74c69d"), strict=False)):
        places = [len(names) - names.index(name) - at * height for name in group.rounds]
        rates = [_median(seen, "rate") for seen in group.rounds.values()]
        label = f"{group.connections} connections"
        axes.barh(places, rates, height=height * 0.95, color=shade, label=label)
    axes.set_yticks([len(names) - at - 0.2 for at in range(len(names))], names)
    axes.set_xlabel("requests/s, one worker")
    axes.set_title("Encrypting 1 KiB over HTTP", loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="upper right")


def _draw_cpu(axes: Any, group: Group) -> None:
    names = list(group.rounds)
    for at, name in enumerate(reversed(names)):
        user, system = (
            statistics.median(getattr(each.cpu, part) * 1e6 for each in group.rounds[name])
            for part in ("user", "system")
        )
        first = name == names[0]
        axes.barh(at, user, color="#0b6e4f", label="user" if first else None)
        axes.barh(at, system, left=user, color="#9a8c98", label="system" if first else None)
    axes.set_yticks(range(len(names)), reversed(names))
    axes.set_xlabel("us of CPU for one request")
    axes.set_title(f"Its cost, {group.connections} connections", loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="upper right")


def _median(seen: list[Seen], part: str) -> float:
    return statistics.median(float(getattr(each, part)) for each in seen)


def _cpu(seen: list[Seen]) -> str:
    total, user, system = (
        statistics.median(getattr(each.cpu, part) * 1e6 for each in seen)
        for part in ("total", "user", "system")
    )
    return f"{total:,.0f} us | {user:,.0f} + {system:,.0f}"


def _spread(values: list[float], unit: str) -> str:
    def shown(value: float) -> str:
        return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"

    middle = shown(statistics.median(values))
    return f"{middle} {unit} ({shown(min(values))} to {shown(max(values))})"


def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("fastapi", "uvicorn", "uvloop"))
