"""A store in memory, with the keys and callers that the groups need."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net import initialise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.keyring.keyring import Keyring

ORDERS: Final = "orders"
HIDDEN: Final = "hidden"  # which the caller has no scope for
TAGS: Final = "tags"
RELEASE: Final = "release"
RELEASE_P256: Final = "release-p256"
SCOPES: Final = (
    *(f"{each}:{ORDERS}" for each in ("encrypt", "decrypt", "rewrap", "datakey")),
    f"mac:{TAGS}",
    *(f"{each}:{key}" for each in ("sign", "verify") for key in (RELEASE, RELEASE_P256)),
)


@dataclass(frozen=True)
class Place:
    """The home folder of a store, its keyring, and the API key of a caller with :data:`SCOPES`."""

    home: Path
    keyring: Keyring
    caller: bytes


@contextmanager
def place() -> Iterator[Place]:
    """A new store, in memory where there is such a folder: no disk has part in the times."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="mfn-timing-", dir=memory if memory.is_dir() else None
    ) as folder:
        home = Path(folder) / "home"
        with initialise(home=home) as keyring:
            keys = keyring.provider.keys
            keys.create(ORDERS)
            keys.create(HIDDEN)
            keys.create(TAGS, "mac")
            keys.create(RELEASE, "signing", algorithm="Ed25519")
            keys.create(RELEASE_P256, "signing", algorithm="ECDSA-P256")
            _, key = keyring.provider.credentials.create("caller", SCOPES)
            yield Place(home, keyring, key.text.encode())


def flipped(data: bytes, at: int) -> bytes:
    """``data`` with the lowest bit of one byte changed."""
    at %= len(data)
    return b"%b%c%b" % (data[:at], data[at] ^ 1, data[at + 1 :])


def another(data: bytes) -> bytes:
    """The same bytes in an object of their own, as :func:`flipped` makes one."""
    return b"%b%c%b" % (data[:1], data[1], data[2:])


def one_of(some: list[bytes]) -> bytes:
    """Any of them, as bytes of its own."""
    return another(secrets.choice(some))
