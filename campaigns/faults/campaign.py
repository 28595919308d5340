"""Faults: what is killed, refused, late or full; what was seen each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from campaigns.faults import controls, injecting, kills, stories
from campaigns.faults.works import WORKS
from campaigns.frame.campaign import Campaign, Results
from campaigns.frame.pages import table

_COMMANDS: Final = {
    "rotation": "`mfn key rotate`",
    "audit write": "`mfn key export`, which changes no key and is a record of the audit log",
    "backup": "`mfn backup`",
    "migrate files": "`mfn migrate-xor FOLDER`",
    "migrate column": "`mfn migrate-xor --database`",
    "schema upgrade": "`mfn init` on a store of schema 0010",
}


def section(results: Results) -> str:
    """Everything in one table, then the calls and the kills; of what was run."""
    return "\n\n".join(text for text in _paragraphs(results) if text)


def _paragraphs(results: Results) -> Iterator[str]:
    failures = results.failures()
    yield (
        f"On {results.machine}; the last part ended on {results.ended}, all took"
        f" {results.seconds / 3600:.1f} h. {_said(failures)}"
    )
    noticed = results.parts.get("controls", {}).get("controls", {})
    if noticed:
        yield f"Controls, each of which held: {'; '.join(noticed)}."
    yield table(["what", "how often", "what was seen", "failures"], _rows(results))
    yield from _calls(results)
    yield from _killed(results)


def _said(failures: list[str]) -> str:
    if not failures:
        return "Nothing failed."
    return f"{len(failures)} failed, which docs/campaigns/faults.json has."


def _rows(results: Results) -> Iterator[list[object]]:
    for name, part in results.parts.items():
        failed = len(part.get("failures", []))
        if "counts" in part:
            counts = _totals(part)
            often = f"{part['done']:,} of {part['faults']:,} faults, {counts['injected']:,} met"
            yield [f"each system call of: {name}", often, _seen(counts), failed]
        elif "killed" in part:
            killed = sum(part["killed"].values())
            seen = f"nothing acknowledged was lost in {part['whole_checks']:,} whole checks"
            yield [name, f"{killed:,} processes", seen, failed]
        elif "often" in part:
            seen = f"{part['seen']} ({part['tests']} tests)"
            yield [name, part["often"], seen, failed]


def _totals(part: dict[str, Any]) -> Counter[str]:
    return Counter({name: sum(found.values()) for name, found in part["counts"].items()})


def _seen(counts: Counter[str]) -> str:
    return (
        f"{counts['succeeded']:,} succeeded all the same,"
        f" {counts['failed in one line']:,} failed in one line,"
        f" of which {counts['failed and was done']:,} had rotated"
    )


def _calls(results: Results) -> Iterator[str]:
    """Which calls, on both kinds of store together."""
    injected: Counter[str] = Counter()
    succeeded: Counter[str] = Counter()
    works: Counter[str] = Counter()
    for name, part in results.parts.items():
        if "counts" in part:
            injected.update(part["counts"].get("injected", {}))
            succeeded.update(part["counts"].get("succeeded", {}))
            works[name.rpartition(", ")[0]] += 1
    if not injected:
        return
    said = "; ".join(f"{work.name}: {_COMMANDS[work.name]}" for work in WORKS if works[work.name])
    yield (
        f"The works are: {said}. The command is forked from a process that has loaded everything"
        " and `strace` looks on: what a call on a file of the store, of the audit log or of the"
        " work would have done does not happen, and it returns EIO, ENOSPC where it could need"
        " room, EINTR where its manual page names that. On PostgreSQL the same, and every call on"
        " a socket: connect, send, receive, poll and what sets a connection up; where the sending"
        " fails the server ends its sessions, as it does when a connection is reset. After each"
        " the command had succeeded or said in one line why not, everything opened, one version"
        " was the newest, the audit chains verified, the same command worked, and so did the next"
        " rotation. Of `close` and `munmap` a program can make nothing: they are left out. What"
        " starting Python needs is left out too."
    )
    rows = ([call, f"{injected[call]:,}", f"{succeeded[call]:,}"] for call in sorted(injected))
    yield table(["call", "refused", "succeeded all the same"], rows)


def _killed(results: Results) -> Iterator[str]:
    found = {
        name.rpartition(", ")[2]: part for name, part in results.parts.items() if "killed" in part
    }
    if not found:
        return
    names = sorted({name for part in found.values() for name in part["killed"]})
    head = ["killed at a random moment"]
    for store in found:
        head += [store, "one takes"]
    rows = []
    for name in names:
        row: list[object] = [name]
        for part in found.values():
            row.append(f"{part['killed'].get(name, 0):,}")
            row.append(f"{part['milliseconds'].get(name, 0)} ms")
        rows.append(row)
    yield table(head, rows)


CAMPAIGN: Final = Campaign(
    name="faults",
    about="kills, disks, clocks, networks, backends and memory limits; each system call refused",
    page="reliability.md",
    parts=[
        controls.part(),
        *injecting.parts(),
        *stories.parts(),
        *kills.parts(),
    ],
    section=section,
)
