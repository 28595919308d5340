"""What the product compares secrets with, and, as a control, what it must not."""

from __future__ import annotations

import os
from binascii import b2a_base64
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import constant_time

from campaigns.timing.group import Group, Pair
from campaigns.timing.place import flipped
from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.algorithms.mac import MacKey
from mycelium_fractal_net.security.errors import InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.content_digest import check_content_digest

if TYPE_CHECKING:
    from collections.abc import Callable

_BYTES: Final = 32
FIRST, LAST = "first byte wrong", "last byte wrong"
_FINE: Final = (10, 20, 50, 100, 200)


def groups() -> list[Group]:
    """Both helpers, what is built on them, and ``==``, which leaves at the first wrong byte."""
    return [
        _of("hmac.compare_digest", "`hmac.compare_digest` of 32 bytes", compare_digest),
        _of(
            "constant_time.bytes_eq",
            "`cryptography`'s `constant_time.bytes_eq` of 32 bytes",
            constant_time.bytes_eq,
        ),
        _of(
            "==, a control",
            "`==` of 32 bytes, which the product uses for no secret",
            bytes.__eq__,
            control=True,
        ),
        _mac_key(),
        _content_digest(),
    ]


def _of(name: str, what: str, equal: Callable[..., object], *, control: bool = False) -> Group:
    def make(at: int) -> tuple[bytes, bytes]:
        ours = os.urandom(_BYTES)
        return ours, flipped(ours, at)

    return Group(
        name=name,
        what=what,
        base=FIRST,
        classes={FIRST: lambda: make(0), LAST: lambda: make(-1)},
        pairs=[Pair(FIRST, LAST, control=control)],
        delays=_FINE,
        attempt=lambda given: equal(*given),
    )


def _mac_key() -> Group:
    key = MacKey(os.urandom(_BYTES))

    def make(at: int) -> tuple[bytes, bytes]:
        data = os.urandom(64)
        return data, flipped(key.tag(data), at)

    return _refused(
        "MacKey.verify", "HMAC-SHA-256 of 64 bytes, and the comparison", key.verify, make
    )


def _content_digest() -> Group:
    def make(at: int) -> tuple[bytes, bytes]:
        body = os.urandom(64)
        digest = flipped(sha256(body), at)
        return b"sha-256=:%b:" % b2a_base64(digest, newline=False), body

    return _refused(
        "check_content_digest", "the `Content-Digest` of a body", check_content_digest, make
    )


def _refused(name: str, what: str, check: Callable[..., None], make: Callable[[int], Any]) -> Group:
    def attempt(given: Any) -> None:
        try:
            check(*given)
        except InvalidSignatureError:
            return
        raise AssertionError("what is wrong was accepted")

    return Group(
        name=name,
        what=what,
        base=FIRST,
        classes={FIRST: lambda: make(0), LAST: lambda: make(-1)},
        pairs=[Pair(FIRST, LAST)],
        delays=_FINE,
        attempt=attempt,
    )
