"""The section of docs/reliability.md, written from the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from campaigns.frame.pages import table
from campaigns.load.plots import PLOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from campaigns.frame.campaign import Results

_UNITS: Final = {"rss": "MiB", "pss": "MiB", "descriptors": "", "threads": ""}
_NAMES: Final = {
    "rss": "resident memory",
    "pss": "its share of memory (PSS)",
    "descriptors": "descriptors",
    "threads": "threads",
}


def section(results: Results) -> str:
    """What was measured, part by part."""
    written = {"soak": _soak, "overload": _overload}
    parts = [written[name](figures) for name, figures in results.parts.items()]
    return "\n\n".join([f"On {results.machine}, ended on {results.ended}.", *parts])


def _soak(figures: Mapping[str, Any]) -> str:
    made, times, control = figures["made"], figures["milliseconds"], figures["control"]
    statuses = ", ".join(f"{count:,} x {each}" for each, count in figures["statuses"].items())
    unexpected = sum(figures["unexpected"].values())
    everything, encrypt = times["all"], times["encrypt"]
    return "\n".join(
        [
            "### A soak",
            "",
            f"`mfn serve --workers {figures['workers']}` on SQLite for"
            f" {figures['wanted_seconds'] / 60:.0f} minutes, with {figures['rate']:.0f} requests a"
            " second of all kinds from four clients that make connections anew now and then:",
            "one-shot, batches and streams; requests signed by both profiles, and one of them"
            " again;",
            "credentials, signers, keys and imports made, rotated, ended; the audit log searched;",
            "refusals that are to be expected; a backup by the command line each minute"
            f" ({figures['backups']['made']}); and every",
            f"ten seconds a rotation of the key that all use ({figures['rotations']}), whose old"
            " versions are retired after two minutes.",
            "The clients ran on the same two cores, which were busy with other work.",
            "",
            f"- {figures['requests']:,} requests: {statuses}. Each is held against what it must"
            " get,",
            f"  and what is opened against what was sealed. Unexpected: {unexpected or 'none'}."
            + _examples(figures),
            f"- All {figures['operations']} operations that `docs/openapi.json` had were answered"
            " with success.",
            f"- p50 {everything['p50']:.1f} ms and p99 {everything['p99']:.1f} ms of all,"
            f" {encrypt['p50']:.1f} ms and {encrypt['p99']:.1f} ms of `POST /crypto/encrypt`, as",
            "  the clients saw it.",
            "",
            f"What each process held was read {figures['samples']:,} times. The line is fitted by"
            " least squares to the means of the",
            f"minutes after the first {figures['warm_up_seconds'] / 60:.0f}; its standard error is"
            " widened by what neighbouring minutes have",
            "in common. Flat is a line whose interval of 95 % has 0 in it.",
            "",
            _growth_table(figures["growth"]),
            "",
            f"![Memory over the hour](campaigns/{PLOT})",
            "",
            f"The control is a process that leaks {control['mib_per_hour']:.1f} MiB and"
            f" {control['descriptors_per_hour']:.0f} descriptors an hour on purpose, watched",
            f"alike. The store grew meanwhile, as it does for good: by {made['versions']:,}"
            " versions,"
            f" {made['keys']:,} keys, {made['credentials']:,} credentials and",
            f"{made['signers']:,} signers, all told. Each worker holds the credentials, the signers"
            " and the keys in use with their versions. How much of the growth that is was not"
            " measured apart.",
            *_missed(figures),
        ]
    )


def _missed(figures: Mapping[str, Any]) -> list[str]:
    """What missed its goal, if anything did."""
    failures = figures["failures"]
    return ["", "Missed its goal:", "", *(f"- {each}" for each in failures)] if failures else []


def _examples(figures: Mapping[str, Any]) -> str:
    found = figures["unexpected"]
    return "".join(f"\n  - {count} x {what}" for what, count in sorted(found.items()))


def _growth_table(growth: Mapping[str, Any]) -> str:
    rows = []
    for name, measures in growth.items():
        for measure, seen in measures.items():
            if name == "control" and measure in ("pss", "threads"):
                continue
            unit = f" {_UNITS[measure]}".rstrip()
            rows.append(
                (
                    name,
                    _NAMES[measure],
                    f"{seen['after_warm_up']:.1f}{unit}",
                    f"{seen['at_end']:.1f}{unit}",
                    f"{seen['per_hour']:+.2f} ± {seen['error']:.2f}",
                    "flat" if seen["flat"] else f"{24 * seen['per_hour']:+,.0f}{unit} a day",
                )
            )
    head = ("process", "what", "after the warm-up", "at the end", "an hour", "that is")
    return table(head, rows)


def _overload(figures: Mapping[str, Any]) -> str:
    bounded, unbounded = figures["bounded"], figures["unbounded"]
    flood, calm = bounded["flood"], bounded["calm"]
    worse = flood["served"]["p99"] / calm["served"]["p99"]
    well = bounded["well_again_after"]
    end = "until the end of the run" if well is None else f"until {well:.2f} s after the flood"
    return "\n".join(
        [
            "### Four times as much as it can do",
            "",
            "One worker on one core, its clients on the other: half of the requests encrypt 200"
            " bytes, half are batches of a hundred",
            "of them. The capacity is what 24 connections get that ask again at once. Then requests"
            " arrive at random, at a rate that",
            "does not mind the answers, each on the connection that was used last or on a new one"
            " where none is free. A client gives",
            "up after 10 s. A time counts from the moment at which its request was to arrive. The"
            " cores were shared with other work.",
            "",
            _overload_table(bounded, unbounded),
            "",
            "- With the bound, `server.max_queue_milliseconds`, 50 by default, the p99 of those"
            " that"
            f" were served was {flood['served']['p99']:,.0f} ms at",
            f"  four times the capacity, {worse:.1f} times that at 0.8 of it. The excess was"
            " refused by"
            " 503 with `Retry-After`, half of it within",
            f"  {flood['refused']['p50']:,.0f} ms, before anything of it was looked at. What"
            " that costs"
            " is missing from what is served.",
            f"- Memory was {bounded['mib_before']:.0f} MiB before the flood and"
            f" {bounded['mib_most']:.0f} MiB at most. Some were refused {end}.",
            "- Without the bound, which is the control, everybody waits, and clients give up.",
            *_missed(figures),
        ]
    )


def _overload_table(bounded: Mapping[str, Any], unbounded: Mapping[str, Any]) -> str:
    head = (
        "queue", "arrive", "a second", "served", "p50", "p99", "refused early", "p50", "p99",
        "no answer",
    )  # fmt: skip
    rows = []
    for name, found in (("bounded", bounded), ("not bounded", unbounded)):
        for what, phase in (("0.8 x", "calm"), ("4 x", "flood"), ("0.5 x, after", "after")):
            each = found[phase]
            served, refused = each["served"], each["refused"]
            rows.append(
                (
                    name, what, f"{each['rate']:,.0f}", f"{served['count']:,}", *_two(served),
                    f"{refused['count']:,}", *_two(refused), f"{sum(each['other'].values()):,}",
                )
            )  # fmt: skip
    return table(head, rows)


def _two(times: Mapping[str, Any]) -> tuple[str, str]:
    if not times["count"]:
        return "-", "-"
    return f"{times['p50']:,.0f} ms", f"{times['p99']:,.0f} ms"
