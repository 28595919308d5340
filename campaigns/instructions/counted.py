"""The program whose instructions are counted: each work with inputs of equal length.

It runs under callgrind, which writes a dump at each call of ``getppid``, which nothing else here
makes. Between two of them is one section: a work, done some times with one input, after it was done
a few times uncounted. It prints, for each section, which work, input and number that was.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from hmac import compare_digest
from math import inf
from typing import Any, Final

from cryptography.hazmat.primitives import constant_time

from mycelium_fractal_net.security.algorithms.mac import MacKey
from mycelium_fractal_net.security.errors import (
    AuthenticationError,
    DecryptionError,
    InvalidSignatureError,
)
from mycelium_fractal_net.security.sealed.sealer import Sealer

CONTROL: Final = "a comparison that leaves at the first wrong byte, a control"
_TIMES: Final = (10, 20)  # a count is their difference by ten, so that what is around it goes away
_WARM: Final = 30  # until the interpreter has specialised what it runs

Works = dict[str, tuple[Callable[..., object], dict[str, tuple[Any, ...]]]]


def _bytes(what: str, length: int = 32) -> bytes:
    """The same bytes in every run."""
    return hashlib.shake_256(what.encode()).digest(length)


def _flipped(data: bytes, at: int) -> bytes:
    found = bytearray(data)
    found[at] ^= 1
    return bytes(found)


def _early(left: bytes, right: bytes) -> bool:
    return all(a == b for a, b in zip(left, right, strict=True))


def _places(ours: bytes) -> dict[str, tuple[Any, ...]]:
    return {
        **{f"wrong at {at}": (ours, _flipped(ours, at)) for at in (0, 1, 15, 30, 31)},
        "wrong everywhere": (ours, bytes(each ^ 255 for each in ours)),
    }


def _refusing(work: Callable[..., object], *refused: type[Exception]) -> Callable[..., object]:
    def attempt(*given: Any) -> None:
        with suppress(*refused):
            work(*given)

    return attempt


SECRETS: Final = {
    "zeros": bytes(32),
    "ones": b"\xff" * 32,
    **{f"random {number}": _bytes(f"secret {number}") for number in range(4)},
}
"""Key bytes of different content."""


def works(*, whole: bool) -> Works:
    """Each work with its inputs; ``whole`` adds those that need a store."""
    ours, data = _bytes("ours"), _bytes("data", 64)
    made = {name: MacKey(key) for name, key in SECRETS.items()}
    wrapping = Sealer.bare(_bytes("wrapping"), b"binding")
    wrapped = wrapping.seal(ours)
    refused = _refusing(MacKey.verify, InvalidSignatureError)
    found: Works = {
        CONTROL: (_early, _places(ours)),
        "`hmac.compare_digest`, 32 bytes": (compare_digest, _places(ours)),
        "`constant_time.bytes_eq`, 32 bytes": (constant_time.bytes_eq, _places(ours)),
        "`MacKey.verify`, other keys": (
            MacKey.verify,
            {name: (key, data, key.tag(data)) for name, key in made.items()},
        ),
        "`MacKey.verify`, refused": (
            refused,
            {
                f"wrong at {at}": (made["ones"], data, _flipped(made["ones"].tag(data), at))
                for at in (0, 15, 31)
            },
        ),
        "unwrapping, other keys wrapped": (
            wrapping.open,
            {name: (wrapping.seal(key),) for name, key in SECRETS.items()},
        ),
        "unwrapping, other keys to unwrap with": (
            lambda sealer, message: sealer.open(message),
            {name: _sealed(key, ours) for name, key in SECRETS.items()},
        ),
        "unwrapping, refused by the tag": (
            _refusing(wrapping.open, DecryptionError),
            {f"wrong at {at}": (_flipped(wrapped, at),) for at in (-33, -16, -8, -1)},
        ),
        "unwrapping, refused by the commitment": (
            _refusing(wrapping.open, DecryptionError),
            {f"wrong at {at}": (_flipped(wrapped, at),) for at in (24, 40, 55)},
        ),
    }
    if whole:
        found |= _credentials()
    return found


def _sealed(key: bytes, data: bytes) -> tuple[Sealer, bytes]:
    sealer = Sealer.bare(key, b"binding")
    return sealer, sealer.seal(data)


def _credentials() -> Works:
    from mycelium_fractal_net import initialise
    from mycelium_fractal_net.security.directories.credentials import CredentialDirectory

    with tempfile.TemporaryDirectory(prefix="mfn-instructions-") as home:
        keyring = initialise(home=home)
        _, key = keyring.provider.credentials.create("one", ("encrypt:*",))
        directory = CredentialDirectory(keyring.provider, keyring.freshness)
        directory.load()
        keyring.close()  # its threads would be counted too
    keyring.freshness.until = inf
    right = key.text.encode()
    wrong = {
        f"secret {number}": (right[:21] + _bytes(f"text {number}", 22).hex()[:43].encode(),)
        for number in range(6)
    }
    wrong["last character"] = (right[:-1] + (b"A" if right[-1:] != b"A" else b"E"),)
    attempt = _refusing(directory.authenticate, AuthenticationError)
    return {"an API key with a wrong secret": (attempt, wrong)}


def sections(found: Works) -> Iterator[tuple[str, str, int, Callable[..., object], Any]]:
    """Each section in the order in which it is counted, every input three times."""
    for work, (function, inputs) in found.items():
        for _ in range(3):
            for name, given in inputs.items():
                for times in _TIMES:
                    yield work, name, times, function, given


def main() -> None:
    """Do each section, with a mark before and after it, then say what they were."""
    mark, said = os.getppid, []
    found = [*sections(works(whole="--whole" in sys.argv))]
    gc.collect()
    gc.disable()
    for work, name, times, function, given in found:
        for _ in range(_WARM):
            function(*given)
        mark()
        for _ in range(times):
            function(*given)
        mark()
        said.append((work, name, times))
    print(json.dumps(said))


if __name__ == "__main__":
    main()
