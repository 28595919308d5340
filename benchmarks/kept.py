"""A plain loop that keeps what it makes, in a process of its own: every page is a fresh one.

python -m benchmarks.kept WAY CONTENDER BYTES HOME prints seconds and page faults a message.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.harness import Figure, Work, figures, turns
from mycelium_fractal_net import initialise, open_keyring

SIZES = (65_536, 1 << 20, 8 << 20)
CONTENDERS = {
    "encrypt": ("AESGCM, cached", "keyring, raw", "keyring, sealed"),
    "decrypt": ("AESGCM, cached", "keyring, raw", "keyring, sealed"),
}
_KEPT_BYTES = 64 << 20


@dataclass(frozen=True)
class Kept:
    """One contender beside bare AESGCM: its time, and the page faults of one message."""

    figure: Figure
    faults: int


def measure(rounds: int) -> dict[str, dict[int, list[Kept]]]:
    """Each contender at each size, in alternating rounds."""
    found: dict[str, dict[int, list[Kept]]] = {}
    with tempfile.TemporaryDirectory() as home:
        with initialise(home=Path(home) / "home") as keyring:
            keyring.provider.keys.create("bench")
        for way, names in CONTENDERS.items():
            for size in SIZES:
                times: dict[str, list[float]] = {name: [] for name in names}
                faults: dict[str, int] = {}
                for order in turns(list(names), rounds):
                    for name in order:
                        seconds, faults[name] = _run(way, name, size, f"{home}/home")
                        times[name].append(seconds)
                found.setdefault(way, {})[size] = [
                    Kept(figure, faults[figure.name]) for figure in figures(times)
                ]
    return found


def _run(way: str, name: str, size: int, home: str) -> tuple[float, int]:
    command = [sys.executable, "-m", "benchmarks.kept", way, name, str(size), home]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, faults = done.stdout.split()
    return float(seconds), int(faults)


def _work(way: str, name: str, data: bytes, home: str) -> Work:
    if name == "AESGCM, cached":
        cipher, nonce = AESGCM(os.urandom(32)), os.urandom(12)
        if way == "encrypt":
            return lambda: cipher.encrypt(os.urandom(12), data, None)
        ciphertext = cipher.encrypt(nonce, data, None)
        return lambda: cipher.decrypt(nonce, ciphertext, None)
    keyring = open_keyring(home=home)
    if name == "keyring, raw":
        raw = keyring.encrypt(data, key_id="bench", format="raw")
        if way == "encrypt":
            return lambda: keyring.encrypt(data, key_id="bench", format="raw")
        return lambda: keyring.decrypt(raw, key_id="bench:v1", format="raw")
    sealed = keyring.encrypt(data, key_id="bench")
    if way == "encrypt":
        return lambda: keyring.encrypt(data, key_id="bench")
    return lambda: keyring.decrypt(sealed)


def main(way: str, name: str, size: int, home: str) -> None:
    """Keep 64 MiB of messages and print seconds and page faults a message."""
    work = _work(way, name, os.urandom(size), home)
    number = _KEPT_BYTES // size
    kept: list[object] = [work()]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    started = time.perf_counter()
    kept.extend(work() for _ in range(number))
    seconds = time.perf_counter() - started
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    print(seconds / number, faults // number)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
