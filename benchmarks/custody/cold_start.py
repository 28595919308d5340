"""A process that begins with 1,000 keys in use: until a message of each of them is open."""

from __future__ import annotations

import contextlib
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
from mycelium_fractal_net.bootstrap import initialise, open_keyring
from mycelium_fractal_net.config import load_settings, names_configuration
from tests.support.cli import environment
from tests.support.custodians.aws_kms import AWSKMSHarness, client_of

_T = TypeVar("_T")
_R = TypeVar("_R")

KEYS = 1000
THREADS = 16
_MESSAGE = b"m" * 64
_CONFIG = {"keyring": {"cache_keys": 10_000}}


@dataclass(frozen=True)
class ColdStart:
    """Seconds from the start of the process to its end, and requests to KMS."""

    name: str
    keys: int
    seconds: float
    requests: dict[str, int]


def of_keyring(kms: AWSKMSHarness, folder: Path, keys: int) -> ColdStart:
    variables = kms.environment(folder / "many")
    config = folder / "many.json"
    config.write_text(json.dumps(_CONFIG))
    variables["MFN_CONFIG"] = str(config)
    with initialise(settings=load_settings(environ=variables)) as keyring:
        names = [f"key-{number}" for number in range(keys)]
        in_threads(keyring.provider.keys.create, names)
        sealed = in_threads(lambda name: keyring.encrypt(_MESSAGE, key_id=name), names)
    return _timed("this library", kms, folder, sealed, variables)


def of_sdk(kms: AWSKMSHarness, folder: Path, keys: int) -> ColdStart:
    """A message each under a data key of its own, as it always is there."""
    sdk = EncryptionSdk(kms.client, kms.arn)
    sealed = in_threads(sdk.encrypt, [_MESSAGE] * keys)
    return _timed("AWS Encryption SDK, no cache", kms, folder, sealed, {})


def in_threads(work: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))


def _timed(
    name: str, kms: AWSKMSHarness, folder: Path, sealed: Sequence[bytes], variables: dict[str, str]
) -> ColdStart:
    messages = folder / "messages"
    messages.write_text("\n".join(each.hex() for each in sealed))
    arn = kms.arn
    kms.requests()
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "benchmarks.custody.cold_start", messages, kms.url, arn],
        env=environment({**variables, "PYTHONPATH": os.pathsep.join(sys.path)}),
        check=True,
    )
    return ColdStart(name, len(sealed), time.perf_counter() - started, kms.requests())


def main(messages: str, url: str, arn: str) -> None:
    """The process: with settings of ours in its environment the library, else the SDK."""
    sealed = [bytes.fromhex(line) for line in Path(messages).read_text().split()]
    with contextlib.ExitStack() as stack:
        if names_configuration():
            opened = in_threads(stack.enter_context(open_keyring()).decrypt, sealed)
        else:
            opened = in_threads(EncryptionSdk(client_of(url), arn).decrypt, sealed)
    assert opened == [_MESSAGE] * len(sealed)


if __name__ == "__main__":
    main(*sys.argv[1:])
