"""Requests to KMS for 100,000 messages under one key: the service with one worker, and the SDK."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.custody.encryption_sdk import EncryptionSdk
from benchmarks.custody.load import load, request
from mycelium_fractal_net.bootstrap import initialise
from mycelium_fractal_net.config import load_settings
from tests.support.custodians.aws_kms import AWSKMSHarness
from tests.support.service import start

MESSAGES = 100_000
_MESSAGE = 1024
_CONNECTIONS = 16


@dataclass(frozen=True)
class Steady:
    """Messages, and requests to KMS from the start of the process to its last answer."""

    name: str
    messages: int
    requests: dict[str, int]
    seconds: float

    @property
    def asked(self) -> int:
        return sum(self.requests.values())


def of_service(kms: AWSKMSHarness, folder: Path, messages: int) -> Steady:
    variables = kms.environment(folder / "home")
    with initialise(settings=load_settings(environ=variables)) as keyring:
        keyring.provider.keys.create("orders")
    kms.requests()
    running = start(folder / "home", env=variables)
    try:
        body = f'{{"data": "{"A" * (_MESSAGE // 3 * 4)}", "key_id": "orders"}}'
        seen = load(
            running,
            request(running, "/crypto/encrypt", body),
            connections=_CONNECTIONS,
            requests=messages,
        )
        asked = kms.requests()
    finally:
        running.stop()
    return Steady("this service, one worker", messages, asked, seen.seconds)


def of_sdk(kms: AWSKMSHarness, messages: int) -> Steady:
    sdk, message = EncryptionSdk(kms.client, kms.arn), os.urandom(_MESSAGE)
    kms.requests()
    started = time.perf_counter()
    for _ in range(messages):
        sdk.encrypt(message)
    return Steady(
        "AWS Encryption SDK, no cache", messages, kms.requests(), time.perf_counter() - started
    )
