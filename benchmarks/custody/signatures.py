"""Signatures by a key that stays with its custodian: through the service, and asked for without it.

Nobody has a core of his own: on one machine the service takes of the processor what the custodian
would need, as it does not where that is on another machine. So the CPU of each is measured, too.
"""

from __future__ import annotations

import base64
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.custody.stores import made_store, served
from benchmarks.custody.wrk import Request, Span, loaded, to_service
from benchmarks.http.process import cpu
from mycelium_fractal_net.security.key_providers.aws_kms import KmsClient, KmsPlace
from tests.support.custodians.aws_kms import ALIAS, REGION, AWSKMSHarness
from tests.support.custodians.vault import VaultHarness
from tests.support.service import Running

CONNECTIONS = 16
_ALGORITHM = "ECDSA-P256"
_DIGEST = bytes(32)


@dataclass(frozen=True)
class Signatures:
    """In a second, over 16 connections, of a custodian asked by ``asker``, and of the service that
    has it sign: medians of rounds in turns, and of their ratios. CPU seconds for one signature."""

    name: str
    asker: str
    custodian: float
    service: float
    ratio: float
    custodian_cpu: dict[str, float]
    service_cpu: dict[str, float]

    @property
    def ceiling(self) -> float:
        """The ratio if all were busy on all cores, and only that: CPU without by CPU with us."""
        return sum(self.custodian_cpu.values()) / sum(self.service_cpu.values())


def of_openbao(vault: VaultHarness, folder: Path, seconds: int, rounds: int) -> Signatures:
    """OpenBao's own rate is what wrk gets from it, over TLS, with a request for each signature."""
    variables, reference = _with_key(vault.environment(folder / "bao"), folder)
    body = (
        f'{{"key_version": 1, "input": "{base64.b64encode(_DIGEST).decode()}", "prehashed": true,'
        ' "hash_algorithm": "sha2-256", "marshaling_algorithm": "asn1"}'
    )
    fields = {"X-Vault-Token": vault.token, "Content-Type": "application/json"}
    request = Request(f"{vault.bao.address}/v1/transit/sign/{reference}", fields, body)

    def own(processes: dict[str, int]) -> Span:
        return loaded(request, connections=CONNECTIONS, seconds=seconds, processes=processes)

    with served(folder / "bao", variables) as running:
        return _compared("OpenBao", vault.pid, "wrk", own, running, seconds=seconds, rounds=rounds)


def of_kms(kms: AWSKMSHarness, folder: Path, seconds: int, rounds: int) -> Signatures:
    """Its own rate is what botocore gets from it in 16 threads, as an application asks it."""
    variables, arn = _with_key(kms.environment(folder / "kms"), folder)
    client = KmsClient(KmsPlace(ALIAS, region=REGION, endpoint_url=kms.url))

    def own(processes: dict[str, int]) -> Span:
        return _asked(client, arn, seconds, processes)

    try:
        with served(folder / "kms", variables) as running:
            return _compared(
                "AWS KMS (moto)", kms.pid, "botocore", own, running, seconds=seconds, rounds=rounds
            )
    finally:
        client.close()


def _with_key(variables: dict[str, str], folder: Path) -> tuple[dict[str, str], str]:
    """A store with an external key, and what that is called on the other side."""
    with made_store(variables, folder) as keyring:
        keyring.provider.keys.create("release", "signing", algorithm=_ALGORITHM, external=True)
        version = keyring.provider.keys.get("release").primary
    return variables, str(version.external).partition(":")[2]


def _asked(client: KmsClient, arn: str, seconds: int, processes: dict[str, int]) -> Span:
    end = time.monotonic() + seconds

    def ask(_: int) -> int:
        count = 0
        while time.monotonic() < end:
            client.ask(
                "sign",
                KeyId=arn,
                Message=_DIGEST,
                MessageType="DIGEST",
                SigningAlgorithm="ECDSA_SHA_256",
            )
            count += 1
        return count

    before, own = {name: cpu(pid).total for name, pid in processes.items()}, time.process_time()
    started = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        count = sum(pool.map(ask, range(CONNECTIONS)))
    took = time.perf_counter() - started
    used = {name: (cpu(pid).total - before[name]) / count for name, pid in processes.items()}
    return Span(count / took, 0.0, {**used, "botocore": (time.process_time() - own) / count})


def _compared(
    name: str,
    pid: int,
    asker: str,
    own: Callable[[dict[str, int]], Span],
    running: Running,
    *,
    seconds: int,
    rounds: int,
) -> Signatures:
    request = to_service(running, "/crypto/sign", '{"data": "aGVsbG8=", "key_id": "release"}')
    both = {"custodian": pid, "service": running.process.pid}

    def ours(for_seconds: int) -> Span:
        return loaded(request, connections=CONNECTIONS, seconds=for_seconds, processes=both)

    ours(1)
    own({"custodian": pid})
    theirs, through = [], []
    for number in range(rounds):
        for first in (number % 2 == 0, number % 2 == 1):
            if first:
                theirs.append(own({"custodian": pid}))
            else:
                through.append(ours(seconds))
    ratios = [one.rate / other.rate for one, other in zip(through, theirs, strict=True)]
    return Signatures(
        name,
        asker,
        statistics.median(each.rate for each in theirs),
        statistics.median(each.rate for each in through),
        statistics.median(ratios),
        _cpu(theirs),
        _cpu(through),
    )


def _cpu(spans: list[Span]) -> dict[str, float]:
    return {name: statistics.median(each.cpu[name] for each in spans) for name in spans[0].cpu}
