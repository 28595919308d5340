"""A process that begins with 1,000 keys in use: until a message of each of them is open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.custody.encryption_sdk import EncryptionSdk
from benchmarks.custody.stores import made_store
from mycelium_fractal_net.bootstrap import open_keyring
from mycelium_fractal_net.config import names_configuration
from tests.support.cli import environment
from tests.support.custodians.aws_kms import AWSKMSHarness, client_of
from tests.support.custodians.vault import VaultHarness

_T = TypeVar("_T")
_R = TypeVar("_R")

KEYS = 1000
OURS = "this library"
THREADS = 16
_MESSAGE = b"m" * 64
_CONFIG = {"keyring": {"cache_keys": 10_000}}


@dataclass(frozen=True)
class ColdStart:
    """Seconds from the start of the process to its end, and requests to the custodian."""

    name: str
    keys: int
    seconds: float
    requests: dict[str, int]


def of_keyring(
    name: str, custodian: AWSKMSHarness | VaultHarness, folder: Path, keys: int
) -> ColdStart:
    """As the library itself counts what it asked."""
    variables = custodian.environment(folder / f"many-{custodian.name}")
    with made_store(variables, folder, _CONFIG) as keyring:
        names = [f"key-{number}" for number in range(keys)]
        in_threads(keyring.provider.keys.create, names)
        sealed = in_threads(lambda name: keyring.encrypt(_MESSAGE, key_id=name), names)
    seconds, asked = _timed(folder, sealed, variables, "", "")
    return ColdStart(f"{OURS}, {name}", keys, seconds, asked)


def of_sdk(kms: AWSKMSHarness, folder: Path, keys: int) -> ColdStart:
    """A message each under a data key of its own, as it always is there."""
    sdk = EncryptionSdk(kms.client, kms.arn)
    sealed = in_threads(sdk.encrypt, [_MESSAGE] * keys)
    kms.requests()
    seconds, _ = _timed(folder, sealed, {}, kms.url, kms.arn)
    return ColdStart("AWS Encryption SDK, no cache", keys, seconds, kms.requests())


def in_threads(work: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))


def _timed(
    folder: Path, sealed: Sequence[bytes], variables: dict[str, str], url: str, arn: str
) -> tuple[float, dict[str, int]]:
    """Seconds, and what the process says that it asked."""
    messages = folder / "messages"
    messages.write_text("\n".join(each.hex() for each in sealed))
    started = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.custody.cold_start", messages, url, arn],
        env=environment({**variables, "PYTHONPATH": os.pathsep.join(sys.path)}),
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    return time.perf_counter() - started, json.loads(said)


def main(messages: str, url: str, arn: str) -> None:
    """The process: with settings of ours in its environment the library, else the SDK."""
    sealed = [bytes.fromhex(line) for line in Path(messages).read_text().split()]
    asked: dict[str, int] = {}
    if names_configuration():
        with open_keyring() as keyring:
            opened = in_threads(keyring.decrypt, sealed)
            told = keyring.provider.custodian.statistics()
            assert told is not None
            asked = {f"{call}": count for (call, _), count in told.calls.items()}
    else:
        opened = in_threads(EncryptionSdk(client_of(url), arn).decrypt, sealed)
    assert opened == [_MESSAGE] * len(sealed)
    print(json.dumps(asked))


if __name__ == "__main__":
    main(*sys.argv[1:])
