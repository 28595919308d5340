"""What was measured as a table, as JSON and as plots."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cryptography
from cryptography.hazmat.backends.openssl.backend import backend

from benchmarks.files import FileFigures, FolderFigures
from benchmarks.growth import Growth, Versions
from benchmarks.harness import Figure
from benchmarks.kept import Kept

_SIZE_NAMES = {64: "64 B", 1024: "1 KiB", 65_536: "64 KiB", 1 << 20: "1 MiB", 8 << 20: "8 MiB"}


@dataclass
class Results:
    """Everything that one run measured."""

    messages: dict[str, dict[int, list[Figure]]] = field(default_factory=dict)
    kept: dict[str, dict[int, list[Kept]]] = field(default_factory=dict)
    file: FileFigures | None = None
    folder: FolderFigures | None = None
    growth: list[Growth] = field(default_factory=list)
    versions: list[Versions] = field(default_factory=list)
    startup: dict[str, list[Figure]] = field(default_factory=dict)
    quick: bool = False


@dataclass(frozen=True)
class Goal:
    """One number that was to be reached, and what was seen."""

    what: str
    reach: str
    seen: str
    met: bool


def goals_table(found: Iterable[Goal]) -> list[str]:
    """The lines of a page that say what was to be reached."""
    return [
        "| what | to reach | seen | |",
        "| --- | --- | --- | --- |",
        *(
            f"| {goal.what} | {goal.reach} | {goal.seen} | {'met' if goal.met else '**missed**'} |"
            for goal in found
        ),
    ]


def machine() -> str:
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()},"
        f" CPython {platform.python_version()}, cryptography {cryptography.__version__},"
        f" {backend.openssl_version_text()}"
    )


def goals(results: Results) -> list[Goal]:
    found: list[Goal] = []

    def at_most(what: str, limit: float, value: float | Figure, unit: str = "x") -> None:
        seen = str(value) if isinstance(value, Figure) else f"{value:.2f} {unit}"
        value = value.ratio if isinstance(value, Figure) else value
        found.append(Goal(what, f"<= {limit:g} {unit}", seen, value <= limit))

    def at_least(what: str, limit: float, value: float, unit: str) -> None:
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
        found.append(Goal(what, f">= {limit:,g} {unit}", f"{shown} {unit}", value >= limit))

    def figure(group: str, size: int, name: str) -> Figure:
        return next(each for each in results.messages[group][size] if each.name == name)

    if results.messages:
        at_most(
            "`encrypt_aes_gcm`, 64 B, beside AESGCM built per call",
            1.25,
            figure("encrypt_aes_gcm", 64, "encrypt_aes_gcm"),
        )
        at_most(
            "raw through the keyring, 64 B, beside a cached AESGCM",
            2,
            figure("encrypt", 64, "keyring, raw"),
        )
        at_most(
            "sealed through the keyring, 64 B, beside bare cobblestone",
            1.3,
            figure("sealed beside cobblestone", 64, "keyring, sealed"),
        )
        raw = figure("encrypt", 1 << 20, "keyring, raw")
        at_least("raw, 1 MiB, throughput beside bare AESGCM", 0.95, 1 / raw.ratio, "x")
        sealed = figure("encrypt", 1 << 20, "keyring, sealed")
        at_least("sealed, 1 MiB", 4, (1 << 20) / sealed.seconds / 1e9, "GB/s")
        opened = figure("decrypt", 1 << 20, "keyring, sealed")
        at_least("opened, 1 MiB", 4, (1 << 20) / opened.seconds / 1e9, "GB/s")
    for way, sizes in results.kept.items():
        sealed_kept = next(each for each in sizes[1 << 20] if each.figure.name == "keyring, sealed")
        at_most(f"{way}, 1 MiB, sealed and kept, beside bare AESGCM", 1.6, sealed_kept.figure)
    if results.file:
        size = f"{results.file.size >> 20:,} MiB"
        at_most(f"sealing a file of {size} beside `cp`", 1.3, results.file.seal[1])
        at_most("opening it beside `cp`", 1.6, results.file.open[1])
        mib = max(results.file.seal_memory["mfn"], results.file.open_memory["mfn"]) / (1 << 20)
        at_most("memory above the same command on an empty file", 16, mib, "MiB")
    if results.folder:
        what = f"a folder of {results.folder.files:,} files of 4 KiB, sealed"
        at_least(what, 1500, results.folder.rate("mfn encrypt -r"), "files/s")
    if results.startup:
        at_most("`mfn --help` beside `python -c pass`, CPU", 6.5, results.startup["help"][1])
        at_most("`mfn key list` beside its imports, CPU", 1.3, results.startup["list"][1])
    if results.growth:
        last = results.growth[-1]
        for what, value in (
            ("open and encrypt, as a process", last.start),
            ("`mfn key show`, as a process", last.show),
            ("`encrypt`, 64 B", last.encrypt),
            ("reading a key's record", last.record),
            ("memory", last.memory),
        ):
            at_most(f"{what}, with {last.keys:,} keys beside {results.growth[0].keys}", 1.2, value)
        many = f"with {last.keys:,} keys"
        at_most(f"a scheduler's look when nothing is due, {many}", 50, last.look * 1e3, "ms of CPU")
        at_most(f"asking who is due, {many}", 50, last.due * 1e3, "ms of CPU")
        at_most(f"reading all keys, {many}, for each", 40, last.listed * 1e6, "us of CPU")
    for each in results.versions[-1:]:
        what = f"reading a key of {each.count:,} versions"
        at_most(what, 35, each.seconds * 1e3, "ms of CPU")
    return found


def markdown(results: Results) -> str:
    lines = [
        "# Benchmarks",
        "",
        f"`make bench` on {datetime.now(UTC):%Y-%m-%d}"
        f"{', a quick run' if results.quick else ''}: {machine()}.",
        "",
        "Contenders take turns in one run. A figure is the median of ratios, each of a round to the"
        " reference's round beside it, with the least and the greatest in brackets.",
        "",
        *goals_table(goals(results)),
    ]
    for group, title in (
        ("encrypt", "Encrypting messages"),
        ("decrypt", "Decrypting messages"),
        ("encrypt_aes_gcm", "`encrypt_aes_gcm`"),
        ("decrypt_aes_gcm", "`decrypt_aes_gcm`"),
        ("sealed beside cobblestone", "Sealed beside bare cobblestone"),
        ("opened beside cobblestone", "Opened beside bare cobblestone"),
    ):
        if group in results.messages:
            lines += ["", f"## {title}", "", *_message_table(results.messages[group])]
    for way, sizes in results.kept.items():
        lines += ["", *_kept_section(way, sizes)]
    if results.file:
        lines += ["", *_file_section(results.file)]
    if results.folder:
        lines += ["", *_folder_section(results.folder)]
    if results.growth:
        lines += ["", *_growth_section(results.growth)]
    if results.versions:
        lines += ["", "| versions of a key | reading it, CPU |", "| --- | --- |"]
        lines += [f"| {v.count:,} | {v.seconds * 1e3:.2f} ms |" for v in results.versions]
    if results.startup:
        lines += ["", "## Start-up", "", "| | CPU seconds | beside |", "| --- | --- | --- |"]
        lines += [
            f"| {each.name} | {each.seconds:.3f} | {each} |"
            for pair in results.startup.values()
            for each in pair
        ]
    return "\n".join(lines) + "\n"


def _message_table(sizes: dict[int, list[Figure]]) -> list[str]:
    names = [figure.name for figure in next(iter(sizes.values()))]
    header = " | ".join(_SIZE_NAMES[size] for size in sizes)
    lines = [f"| | {header} |", "| --- |" + " --- |" * len(sizes)]
    for name in names:
        cells = []
        for size, found in sizes.items():
            figure = next(each for each in found if each.name == name)
            rate = f"{size / figure.seconds / 1e9:.2f} GB/s"
            took = f"{figure.seconds * 1e6:.2f} us"
            cells.append(f"{took if size < 65_536 else rate}; {figure}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _kept_section(way: str, sizes: dict[int, list[Kept]]) -> list[str]:
    lines = [
        f"## A plain loop that keeps what it makes: {way}",
        "",
        "In a process of its own, so that every page is a fresh one; page faults are of one call.",
        "",
        f"| | {' | '.join(_SIZE_NAMES[size] for size in sizes)} |",
        "| --- |" + " --- |" * len(sizes),
    ]
    for name in [each.figure.name for each in next(iter(sizes.values()))]:
        cells = [
            f"{kept.figure.seconds * 1e6:,.0f} us; {kept.figure}; {kept.faults:,} faults"
            for found in sizes.values()
            for kept in found
            if kept.figure.name == name
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _file_section(found: FileFigures) -> list[str]:
    def mib(size: int) -> str:
        return f"{size / (1 << 20):,.1f} MiB"

    lines = [
        f"## A file of {found.size >> 20:,} MiB",
        "",
        "On a file system in memory. Start-up and memory are those of the same command on an empty"
        " file: the one is taken off the seconds of every tool, the other is what the memory is"
        " above, at most.",
    ]
    for title, work, memory in (
        ("sealing", found.seal, found.seal_memory),
        ("opening", found.open, found.open_memory),
    ):
        lines += [
            "",
            f"| {title} | seconds | beside `cp` | start-up, sealing | memory above |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {f.name} | {f.seconds:.2f} | {f} | {found.start_up[f.name]:.3f} s"
                f" | {mib(memory[f.name])} |"
                for f in work
            ),
            *(f"| {name} | absent | | | |" for name in found.absent),
        ]
    return lines


def _folder_section(found: FolderFigures) -> list[str]:
    return [
        f"## A folder of {found.files:,} files of 4 KiB",
        "",
        "On a disk, start-up and syncs included.",
        "",
        "| | files/s | time beside `cp` |",
        "| --- | --- | --- |",
        *(f"| {f.name} | {found.rate(f.name):,.0f} | {f} |" for f in found.work),
    ]


def _growth_section(found: list[Growth]) -> list[str]:
    lines = [
        "## Growth",
        "",
        "The same work over stores of different sizes, beside the smallest.",
        "",
        "| keys | open and encrypt, a process | `mfn key show`, a process | encrypt 64 B"
        " | read a record | memory | a look, nothing due | who is due | all keys, each |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {g.keys:,} | {g.start} | {g.show} | {g.encrypt}"
        f" | {g.record} | {g.memory:.2f} x | {g.look * 1e3:.1f} ms"
        f" | {g.due * 1e3:.1f} ms | {g.listed * 1e6:.1f} us |"
        for g in found
    ]
    return lines


def as_json(results: Results) -> str:
    def plain(value: Any) -> Any:
        return asdict(value)

    document = {
        "machine": machine(),
        "quick": results.quick,
        "goals": [asdict(goal) for goal in goals(results)],
        "messages": {
            group: {str(size): [each.to_dict() for each in found] for size, found in sizes.items()}
            for group, sizes in results.messages.items()
        },
        "kept": {
            way: {str(size): [plain(each) for each in found] for size, found in sizes.items()}
            for way, sizes in results.kept.items()
        },
        "file": results.file and plain(results.file),
        "folder": results.folder and plain(results.folder),
        "growth": [plain(each) for each in results.growth],
        "versions": [plain(each) for each in results.versions],
        "startup": {
            what: [each.to_dict() for each in pair] for what, pair in results.startup.items()
        },
    }
    return json.dumps(document, indent=1) + "\n"


def plots(results: Results, folder: Path) -> None:
    """Write the plots as SVG; nothing where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "mycelium"  # the same picture gives the same file
    from matplotlib import pyplot

    def saved(name: str, draw: Callable[[Any], None], size: tuple[float, float]) -> None:
        figure, axes = pyplot.subplots(figsize=size, layout="constrained")
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(folder / name, metadata={"Date": None}, facecolor="white")
        pyplot.close(figure)

    if "encrypt" in results.messages:
        saved(
            "messages.svg", lambda axes: _draw_messages(axes, results.messages["encrypt"]), (9, 4.5)
        )
    if results.file:
        file = results.file
        saved("files.svg", lambda axes: _draw_file(axes, file), (9, 3))
    if results.growth:
        saved("growth.svg", lambda axes: _draw_growth(axes, results.growth), (9, 3.5))


_OURS = {"keyring, sealed": "#0b6e4f", "keyring, raw": "#08a045"}
_OTHERS = ("#4a4e69", "#9a8c98", "#c9ada7", "#b5838d", "#6d6875", "#e5989b")


def _draw_messages(axes: Any, sizes: dict[int, list[Figure]]) -> None:
    others = iter(_OTHERS)
    for name in [figure.name for figure in next(iter(sizes.values()))]:
        speeds = [
            size / next(each for each in found if each.name == name).seconds / 1e6
            for size, found in sizes.items()
        ]
        ours = name in _OURS
        axes.plot(
            [_SIZE_NAMES[size] for size in sizes],
            speeds,
            marker="o",
            label=name,
            color=_OURS.get(name) or next(others),
            linewidth=2.6 if ours else 1.3,
            linestyle="-" if ours else "--",
        )
    axes.set_yscale("log")
    axes.set_ylabel("MB/s, one thread")
    axes.set_title("Encrypting a message of that size", loc="left", fontweight="bold")
    axes.grid(axis="y", alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _draw_file(axes: Any, found: FileFigures) -> None:
    names = [figure.name for figure in found.seal]
    for at, (figures, shade, label) in enumerate(
        ((found.seal, "#0b6e4f", "sealing"), (found.open, "#74c69d", "opening"))
    ):
        places = [place + 0.2 - 0.4 * at for place in range(len(names), 0, -1)]
        axes.barh(places, [f.ratio for f in figures], height=0.38, color=shade, label=label)
    axes.set_yticks(range(len(names), 0, -1), names)
    axes.axvline(1, color="#999999", linewidth=0.8)
    axes.set_xlabel("time beside cp")
    title = f"A file of {found.size >> 20:,} MiB in memory"
    axes.set_title(title, loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="upper right")


def _draw_growth(axes: Any, found: list[Growth]) -> None:
    counts = [f"{each.keys:,}" for each in found]
    for name, values, color in (
        ("open and encrypt, a process", [g.start.ratio for g in found], "#0b6e4f"),
        ("mfn key show, a process", [g.show.ratio for g in found], "#08a045"),
        ("encrypt 64 B", [g.encrypt.ratio for g in found], "#4a4e69"),
        ("read a key's record", [g.record.ratio for g in found], "#9a8c98"),
        ("a look, nothing due", [g.look / found[0].look for g in found], "#dda15e"),
        ("memory", [g.memory for g in found], "#b5838d"),
    ):
        axes.plot(counts, values, marker="o", label=name, color=color)
    axes.set_ylim(
        0,
        max(
            2.0,
            *(max(g.start.ratio, g.show.ratio, g.encrypt.ratio, g.record.ratio) for g in found),
            *(g.look / found[0].look for g in found),
        )
        * 1.05,
    )
    axes.set_xlabel("keys in the store")
    axes.set_ylabel(f"beside {counts[0]} keys")
    axes.set_title("One key, and a look, among many", loc="left", fontweight="bold")
    axes.grid(axis="y", alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
