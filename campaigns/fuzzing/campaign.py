"""Coverage-guided fuzzing of every parser, and the table of what each target reached."""

from __future__ import annotations

from typing import Any

from campaigns.frame.campaign import Campaign, Part, Results
from campaigns.frame.pages import table
from campaigns.fuzzing.collecting import collect
from campaigns.fuzzing.control import control


def section(results: Results) -> str:
    parts = results.parts
    text = [
        "Every function that makes sense of bytes from outside has a target in `fuzz/`; the list"
        " of them is `fuzz/parsers.py`, and a test fails for one that decodes and is not in it."
        " A target is run by [atheris](https://github.com/google/atheris) on libFuzzer, in slices"
        " of a minute, the one that had least CPU time next. A finding is any error that is not"
        " one of ours, and what the target's docstring says: a second spelling, two readers that"
        " disagree,"
        " a message that nobody sealed. Edges are those of this package and the target in Python;"
        " `cryptography`, `msgspec` and llhttp, which are native, count none. The corpora that are"
        " kept are in `fuzz/corpus/`, and every run of the tests goes through them."
    ]
    if found := parts.get("control"):
        text.append(
            f"Control: a reader with a fault behind four bytes, one input in 2^32. It was found"
            f" after {found['executions']:,} executions, {found['seconds_to_find']} s."
        )
    if found := parts.get("targets"):
        text += _of_targets(found)
    text.append(f"Machine: {results.machine}; {results.ended}.")
    text.append(
        "Not tested: the native code under these readers with sanitizers; grammars of their own for"
        " JSON and DER, of which libFuzzer changes bytes alone; states over several"
        " requests, which the load campaign's schemathesis runs have."
    )
    return "\n\n".join(text)


def _of_targets(found: dict[str, Any]) -> list[str]:
    targets: dict[str, dict[str, Any]] = found["targets"]
    rows = [
        (
            f"`{name}`",
            each["about"],
            f"{each['inputs']:,} ({each['bytes'] / 1024:,.0f} KiB)",
            f"{each['executions']:,}",
            f"{each['edges']:,}",
            f"{each['cpu_hours']:.3f}",
            f"{each['hours_since_last_edge']:.3f}",
        )
        for name, each in targets.items()
    ]
    hours = sum(each["cpu_hours"] for each in targets.values())
    executions = sum(each["executions"] for each in targets.values())
    findings = sum(len(each["findings"]) for each in targets.values())
    said = (
        f"{len(targets)} targets, {executions:,} executions in {hours:.2f} CPU-hours,"
        f" {findings} findings that are open."
    )
    if "unfinished" in found:
        said += f" {found['unfinished']}; the same command goes on."
    head = ("target", "reads", "corpus", "executions", "edges", "CPU-hours", "since a new edge")
    return [said, table(head, rows)]


CAMPAIGN = Campaign(
    name="fuzzing",
    about="coverage-guided fuzzing of every parser",
    page="security_testing.md",
    parts=[Part("control", control), Part("targets", collect)],
    section=section,
)
