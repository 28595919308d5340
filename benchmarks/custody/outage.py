"""What an outage of KMS does to traffic under a key that is in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.custody.load import load, request
from mycelium_fractal_net.bootstrap import initialise
from mycelium_fractal_net.config import load_settings
from tests.support.custodians.aws_kms import AWSKMSHarness
from tests.support.service import start

_CONNECTIONS = 4
_CACHE_SECONDS = 1  # so that the outage is met again and again


@dataclass(frozen=True)
class Outage:
    """The p99 of a request while KMS answers, and while it does not: seconds, median of rounds."""

    before: float
    during: float

    @property
    def ratio(self) -> float:
        return self.during / self.before


def of_service(kms: AWSKMSHarness, folder: Path, requests: int, rounds: int) -> Outage:
    variables = kms.environment(folder / "outage")
    config = folder / "outage.json"
    config.write_text(
        json.dumps(
            {
                "keyring": {"cache_seconds": _CACHE_SECONDS},
                "security": {"tls": {"required": False}},
                "server": {"request_signing": "off"},
            }
        )
    )
    variables["MFN_CONFIG"] = str(config)
    with initialise(settings=load_settings(environ=variables)) as keyring:
        keyring.provider.keys.create("orders")
    running = start(folder / "outage", env=variables)
    try:
        sent = request(running, "/crypto/encrypt", '{"data": "aGVsbG8=", "key_id": "orders"}')
        load(running, sent, connections=_CONNECTIONS, requests=requests)
        before, during = [], []
        for _ in range(rounds):
            before.append(load(running, sent, connections=_CONNECTIONS, requests=requests).p99)
            kms.stop()
            try:
                during.append(load(running, sent, connections=_CONNECTIONS, requests=requests).p99)
            finally:
                kms.start()
    finally:
        running.stop()
    return Outage(sorted(before)[rounds // 2], sorted(during)[rounds // 2])
