"""A process that uses keys by the library alone, and waits at each stage while it is looked at.

    python -m campaigns.leakage.holder HOME

It names a stage on its standard output and goes on when a line comes in. It holds no key but what
the product itself loads: who looks at it learns the keys from the store, in a process of its own.
"""

from __future__ import annotations

import atexit
import gc
import sys
from pathlib import Path

from mycelium_fractal_net import open_keyring

KEYS = ("orders", "release", "curve", "codes", "people", "countries")
"""Of the types encryption, signing (Ed25519 and ECDSA-P256), mac, index and deterministic."""
OTHERS = tuple(f"other-{number}" for number in range(8))
"""What takes their places in the cache, which is as small."""


def stage(name: str) -> None:
    """Say where it is, and wait to be told to go on."""
    sys.stdout.write(f"{name}\n")
    sys.stdout.flush()
    sys.stdin.readline()


def use(home: Path) -> None:
    """Everything that loads a key, then what drops it, stage by stage."""
    keyring = open_keyring(home=home)
    stage("opened")
    for _ in range(20):
        sealed = keyring.encrypt(b"x" * 100, key_id="orders")
        keyring.decrypt(sealed)
        raw = keyring.encrypt(b"x" * 100, key_id="orders", format="raw")
        keyring.decrypt(raw, key_id="orders", format="raw")
        for key_id in ("release", "curve"):
            keyring.sign(b"x" * 100, key_id=key_id)
        keyring.mac(b"x" * 100, key_id="codes")
        if hasattr(keyring, "index_tag"):  # the source before has none
            keyring.index_tag("x" * 100, key_id="people", context=b"name")
            same = keyring.encrypt(b"x" * 100, key_id="countries", format="deterministic")
            keyring.decrypt(same)
    stage("after use")
    for key_id in OTHERS:
        keyring.encrypt(b"x", key_id=key_id)
    keyring.flush()
    stage("after eviction")
    keyring.close()
    stage("after close")
    del keyring
    gc.collect()
    stage("after the keyring is gone")


if __name__ == "__main__":
    atexit.register(stage, "at exit")  # the first that is registered is the last that is called
    use(Path(sys.argv[1]))
