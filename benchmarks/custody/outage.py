"""What an outage of the custodian does to traffic under a key that is in memory.

A p99 differs from one span to the next, whatever happens: so each span without the custodian lies
between two with it, and how far those two differ is told, too.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.custody.stores import made_store, served
from benchmarks.custody.wrk import Span, loaded, to_service
from tests.support.custodians.aws_kms import AWSKMSHarness
from tests.support.custodians.vault import VaultHarness

CONNECTIONS = 4
_CACHE_SECONDS = 1  # so that the outage is met again and again
_SETTLE_SECONDS = 1.0  # a server that ends or starts takes of the processor


@dataclass(frozen=True)
class Outage:
    """Medians of rounds: the p99 with the custodian and without it, in seconds; their ratio; how
    much the greater of the two p99 around an outage is than the smaller; CPU seconds a request."""

    name: str
    before: float
    during: float
    ratio: float
    scatter: float
    cpu_before: float
    cpu_during: float


def of_service(
    name: str, custodian: AWSKMSHarness | VaultHarness, folder: Path, seconds: int, rounds: int
) -> Outage:
    home = folder / f"outage-{custodian.name}"
    variables = custodian.environment(home)
    with made_store(variables, folder, {"keyring": {"cache_seconds": _CACHE_SECONDS}}) as keyring:
        keyring.provider.keys.create("orders")
    with served(home, variables) as running:
        sent = to_service(running, "/crypto/encrypt", '{"data": "aGVsbG8=", "key_id": "orders"}')

        def span() -> Span:
            return loaded(
                sent,
                connections=CONNECTIONS,
                seconds=seconds,
                processes={"service": running.process.pid},
            )

        span()
        around, during = [span()], []
        for _ in range(rounds):
            custodian.stop()
            try:
                time.sleep(_SETTLE_SECONDS)
                during.append(span())
            finally:
                custodian.start()
            time.sleep(_SETTLE_SECONDS)
            around.append(span())
    return of_spans(name, around, during)


def of_spans(name: str, around: list[Span], during: list[Span]) -> Outage:
    """Of spans without the custodian, each between two with it."""
    pairs = list(pairwise(around))
    ratios = [
        2 * each.p99 / (one.p99 + other.p99)
        for each, (one, other) in zip(during, pairs, strict=True)
    ]
    scatter = [max(one.p99, other.p99) / min(one.p99, other.p99) for one, other in pairs]
    return Outage(
        name,
        statistics.median(each.p99 for each in around),
        statistics.median(each.p99 for each in during),
        statistics.median(ratios),
        statistics.median(scatter),
        statistics.median(each.cpu["service"] for each in around),
        statistics.median(each.cpu["service"] for each in during),
    )
