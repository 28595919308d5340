"""What was measured as a table, and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from benchmarks.custody.cold_start import THREADS, ColdStart
from benchmarks.custody.outage import Outage
from benchmarks.custody.signatures import CONNECTIONS, Signatures
from benchmarks.custody.steady import MESSAGES, Steady
from benchmarks.report import machine

MOST_ASKED = 20
COLD_SECONDS = 60.0
LEAST_SIGNATURES = 0.8
MOST_P99 = 1.2


@dataclass(frozen=True)
class Results:
    """All that one run measured."""

    steady: list[Steady]
    cold: list[ColdStart]
    signatures: Signatures
    outage: Outage
    quick: bool = False


def markdown(results: Results) -> str:
    steady, cold = results.steady[0], results.cold[0]
    lines = [
        "# A master key in AWS KMS",
        "",
        "Written by `make bench-custody`, on moto's server on loopback: compared are numbers of"
        " requests, and ratios, which another server has too; its times are not those of AWS.",
        "",
        f"{machine()}, {datetime.now(UTC):%Y-%m-%d}{', a quick look' if results.quick else ''}.",
        "",
        "| what | to reach | seen |",
        "| --- | --- | --- |",
        f"| requests to KMS for {steady.messages:,} messages under one key, start included |"
        f" < {MOST_ASKED} | {steady.asked}{_met(steady.asked < MOST_ASKED)} |",
        f"| cold start with {cold.keys:,} keys in use, {THREADS} threads |"
        f" <= {COLD_SECONDS:.0f} s | {cold.seconds:.1f} s{_met(cold.seconds <= COLD_SECONDS)} |",
        f"| signatures by a key in KMS through the service, {CONNECTIONS} connections, beside KMS"
        f" itself | >= {LEAST_SIGNATURES:g} x | {results.signatures.ratio:.2f} x"
        f"{_met(results.signatures.ratio >= LEAST_SIGNATURES)} |",
        f"| p99 of a request under a key in memory while KMS is gone | <= {MOST_P99:g} x |"
        f" {results.outage.ratio:.2f} x{_met(results.outage.ratio <= MOST_P99)} |",
        "",
        "## Requests to KMS",
        "",
        "| who | messages | requests | seconds |",
        "| --- | --- | --- | --- |",
        *(
            f"| {each.name} | {each.messages:,} | {_asked(each.requests)} | {each.seconds:,.1f} |"
            for each in results.steady
        ),
        "",
        "Ours grow with time, since a key in memory is asked for again, and not with messages;"
        f" those of the SDK are one for each message, {MESSAGES:,} for {MESSAGES:,}.",
        "",
        "## Cold start",
        "",
        "From the start of a process to its end, in which a message of each key was opened.",
        "",
        "| who | keys | seconds | requests |",
        "| --- | --- | --- | --- |",
        *(
            f"| {each.name} | {each.keys:,} | {each.seconds:.2f} | {_asked(each.requests)} |"
            for each in results.cold
        ),
        "",
        "## Signatures and outages",
        "",
        f"KMS itself signs {results.signatures.custodian:,.0f} times a second here, and through the"
        f" service {results.signatures.service:,.0f}. The p99 of a request is"
        f" {results.outage.before * 1000:.2f} ms while KMS answers and"
        f" {results.outage.during * 1000:.2f} ms while it does not, with keys that are in memory"
        " for a second.",
        "",
    ]
    return "\n".join(lines)


def as_json(results: Results) -> str:
    return json.dumps({"machine": machine(), **asdict(results)}, indent=1) + "\n"


def _met(met: bool) -> str:
    return "" if met else ", **not met**"


def _asked(requests: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(requests.items())) or "none"
