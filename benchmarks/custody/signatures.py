"""Signatures by a key that stays in KMS: through the service, and asked for without it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.custody.cold_start import in_threads
from benchmarks.custody.load import load, request
from mycelium_fractal_net.bootstrap import initialise
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.key_providers.aws_kms import KmsClient, KmsPlace
from tests.support.custodians.aws_kms import ALIAS, REGION, AWSKMSHarness
from tests.support.service import start

CONNECTIONS = 16
_ALGORITHM = "ECDSA-P256"


@dataclass(frozen=True)
class Signatures:
    """A second, over 16 connections: of KMS itself and through the service, in turns."""

    custodian: float
    service: float
    ratio: float


def of_service(kms: AWSKMSHarness, folder: Path, count: int, rounds: int) -> Signatures:
    variables = kms.environment(folder / "signing")
    with initialise(settings=load_settings(environ=variables)) as keyring:
        keyring.provider.keys.create("release", "signing", algorithm=_ALGORITHM, external=True)
        version = keyring.provider.keys.get("release").primary
    arn = str(version.external).partition(":")[2]
    client = KmsClient(KmsPlace(ALIAS, region=REGION, endpoint_url=kms.url))

    def ask(_: int) -> object:
        return client.ask(
            "sign",
            KeyId=arn,
            Message=bytes(32),
            MessageType="DIGEST",
            SigningAlgorithm="ECDSA_SHA_256",
        )

    running = start(folder / "signing", env=variables)
    theirs, ours = [], []
    try:
        sent = request(running, "/crypto/sign", '{"data": "aGVsbG8=", "key_id": "release"}')
        load(running, sent, connections=CONNECTIONS, requests=CONNECTIONS)
        for _ in range(rounds):
            started = time.perf_counter()
            in_threads(ask, range(count))
            theirs.append(count / (time.perf_counter() - started))
            ours.append(load(running, sent, connections=CONNECTIONS, requests=count).rate)
    finally:
        running.stop()
        client.close()
    ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
    return Signatures(statistics.median(theirs), statistics.median(ours), statistics.median(ratios))
