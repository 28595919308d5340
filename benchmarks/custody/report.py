"""What was measured as a table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from benchmarks.custody.cold_start import OURS, THREADS, ColdStart
from benchmarks.custody.outage import CONNECTIONS as OUTAGE_CONNECTIONS
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
    signatures: list[Signatures]
    outages: list[Outage]
    quick: bool = False


def markdown(results: Results) -> str:
    return "\n".join(
        [
            "# A master key in AWS KMS or OpenBao",
            "",
            "Written by `make bench-custody`. The servers are on loopback: OpenBao's own, with TLS,"
            " and moto's for AWS KMS. Compared are numbers of requests, and ratios; the times of"
            " moto's server are not those of AWS.",
            "",
            f"{machine()}, {datetime.now(UTC):%Y-%m-%d}"
            f"{', a quick look' if results.quick else ''}.",
            "",
            *_goals(results),
            *_steady(results.steady),
            *_cold(results.cold),
            *_signatures(results.signatures),
            *_outages(results.outages),
        ]
    )


def _goals(results: Results) -> Iterator[str]:
    yield "| what | to reach | seen |"
    yield "| --- | --- | --- |"
    steady = results.steady[0]
    yield (
        f"| requests to KMS for {steady.messages:,} messages under one key, start included |"
        f" < {MOST_ASKED} | {steady.asked}{_met(steady.asked < MOST_ASKED)} |"
    )
    for cold in results.cold:
        ours, _, where = cold.name.partition(", ")
        if ours == OURS:
            yield (
                f"| cold start with {cold.keys:,} keys in use, {where} | <= {COLD_SECONDS:.0f} s |"
                f" {cold.seconds:.1f} s{_met(cold.seconds <= COLD_SECONDS)} |"
            )
    for signed in results.signatures:
        yield (
            f"| signatures by a key in {signed.name} through the service, {CONNECTIONS}"
            f" connections, beside its own rate | >= {LEAST_SIGNATURES:g} x |"
            f" {signed.ratio:.2f} x{_met(signed.ratio >= LEAST_SIGNATURES)} |"
        )
    for outage in results.outages:
        yield (
            f"| p99 of a request under a key in memory while {outage.name} is gone |"
            f" <= {MOST_P99:g} x | {outage.ratio:.2f} x{_met(outage.ratio <= MOST_P99)} |"
        )
    yield ""


def _steady(seen: list[Steady]) -> Iterator[str]:
    yield "## Requests to KMS"
    yield ""
    yield "| who | messages | requests | seconds |"
    yield "| --- | --- | --- | --- |"
    for each in seen:
        yield (
            f"| {each.name} | {each.messages:,} | {_asked(each.requests)} | {each.seconds:,.1f} |"
        )
    yield ""
    yield (
        "Counted by the server; over the service, with one worker. Ours grow with time, since a key"
        " in memory is asked for again, and not with messages; those of the SDK are one for each"
        f" message, {MESSAGES:,} for {MESSAGES:,}."
    )
    yield ""


def _cold(seen: list[ColdStart]) -> Iterator[str]:
    yield "## Cold start"
    yield ""
    yield (
        "From the start of a process to its end, in which a message of each key was opened, with"
        f" {THREADS} threads at it. A call has 10 seconds, its attempts included. OpenBao"
        " unwraps in one request what is wanted at once; KMS has a request for each key."
    )
    yield ""
    yield "| who | keys | seconds | asked |"
    yield "| --- | --- | --- | --- |"
    for each in seen:
        yield f"| {each.name} | {each.keys:,} | {each.seconds:.2f} | {_asked(each.requests)} |"
    yield ""


def _signatures(seen: list[Signatures]) -> Iterator[str]:
    yield "## Signatures"
    yield ""
    yield (
        f"ECDSA P-256 over {CONNECTIONS} connections, medians of rounds in turns. A custodian's own"
        " rate is what `wrk` gets from OpenBao with a request for each signature, and botocore from"
        " KMS in as many threads. Through the service `wrk` asks for `POST /crypto/sign`: each"
        " signature is verified, and recorded durably in the audit log, before its answer. All"
        " share the cores of one machine."
    )
    yield ""
    yield "| custodian | its own rate | through the service | ratio | CPU, us each | through it |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for each in seen:
        yield (
            f"| {each.name} | {each.custodian:,.0f}/s | {each.service:,.0f}/s |"
            f" {each.ratio:.2f} x | {_cpu(each.custodian_cpu)} | {_cpu(each.service_cpu)} |"
        )
    yield ""
    for each in seen:
        yield (
            f"- {each.name}: were all cores busy in both, the ratio of the rates would be that of"
            f" the CPU, {each.ceiling:.2f} x. One worker, which has one core, signs"
            f" {1 / each.service_cpu['service']:,.0f} times a second at most."
        )
    yield (
        "- Signatures by one key that are wanted while others are under way go to OpenBao as one"
        " request, so that through the service it can be more of them. KMS takes one in a request,"
        " and botocore needs more of the processor for it than moto's server, which ends each"
        " connection: its own rate is botocore's here, and the service has botocore and itself."
    )
    yield ""


def _outages(seen: list[Outage]) -> Iterator[str]:
    yield "## Outages"
    yield ""
    yield (
        f"`POST /crypto/encrypt` over {OUTAGE_CONNECTIONS} connections, under a key that is in"
        " memory for a second alone, so that the outage is met again and again; nobody listens"
        " where the custodian was. Each span without it lies between two with it, and the ratio is"
        " its p99 to the mean of theirs. By how much those two differ, where nothing happened, is"
        " beside it: a ratio below that says nothing."
    )
    yield ""
    yield (
        "| custodian | p99 with it | without | ratio | those with it differ by | CPU, us each |"
        " without |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for each in seen:
        yield (
            f"| {each.name} | {each.before * 1e3:.2f} ms | {each.during * 1e3:.2f} ms |"
            f" {each.ratio:.2f} x | {each.scatter:.2f} x | {each.cpu_before * 1e6:.0f} |"
            f" {each.cpu_during * 1e6:.0f} |"
        )
    yield ""


def as_json(results: Results) -> str:
    return json.dumps({"machine": machine(), **asdict(results)}, indent=1) + "\n"


def _met(met: bool) -> str:
    return "" if met else ", **not met**"


def _cpu(used: dict[str, float]) -> str:
    return ", ".join(f"{name} {seconds * 1e6:,.0f}" for name, seconds in used.items())


def _asked(requests: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(requests.items())) or "none"
