"""MACs and signatures that are refused, by the place of the first byte that is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from campaigns.timing.group import Group, Pair
from campaigns.timing.place import RELEASE, RELEASE_P256, TAGS, Place, flipped
from mycelium_fractal_net.security.errors import InvalidSignatureError

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST, LAST = "first byte wrong", "last byte wrong"
_DATA_BYTES: Final = 64
_IN_DER: Final = 8  # a byte of r, behind the tags and lengths of an ECDSA-Sig-Value (RFC 3279)

Makers = dict[str, Callable[[], tuple[bytes, bytes]]]
"""What makes data and a proof of each class."""


def proofs(place: Place) -> dict[str, Makers]:
    """Each kind of proof, by the name of its key."""
    keyring = place.keyring

    def wrong(prove: Callable[[bytes], bytes], at: int) -> tuple[bytes, bytes]:
        data = os.urandom(_DATA_BYTES)
        return data, flipped(prove(data), at)

    def classes(prove: Callable[[bytes], bytes], first: int = 0) -> Makers:
        return {FIRST: lambda: wrong(prove, first), LAST: lambda: wrong(prove, -1)}

    return {
        TAGS: classes(lambda data: keyring.mac(data, key_id=TAGS)),
        RELEASE: classes(lambda data: keyring.sign(data, key_id=RELEASE)),
        RELEASE_P256: classes(lambda data: keyring.sign(data, key_id=RELEASE_P256), _IN_DER),
    }


def groups(place: Place) -> list[Group]:
    """``Keyring.verify_mac`` and ``Keyring.verify``."""
    keyring, made = place.keyring, proofs(place)

    def group(name: str, what: str, key: str, verify: Any, delays: tuple[int, ...]) -> Group:
        def attempt(given: tuple[bytes, bytes]) -> None:
            try:
                verify(*given, key_id=key)
            except InvalidSignatureError:
                return
            raise AssertionError("a proof that is wrong was accepted")

        return of_proofs(name, what, made[key], delays, attempt)

    fine, coarse = (20, 50, 100, 200, 500), (50, 100, 200, 500, 1000)
    return [
        group("verify_mac", "`Keyring.verify_mac`, HMAC-SHA-256", TAGS, keyring.verify_mac, fine),
        group("verify, Ed25519", "`Keyring.verify`, Ed25519", RELEASE, keyring.verify, coarse),
        group(
            "verify, ECDSA-P256",
            "`Keyring.verify`, ECDSA with P-256",
            RELEASE_P256,
            keyring.verify,
            coarse,
        ),
    ]


def of_proofs(
    name: str,
    what: str,
    classes: Mapping[str, Callable[[], Any]],
    delays: tuple[int, ...],
    attempt: Callable[[Any], object] = bool,
) -> Group:
    """The group of one kind of proof."""
    return Group(
        name=name,
        what=what,
        base=FIRST,
        classes=classes,
        pairs=[Pair(FIRST, LAST)],
        delays=delays,
        attempt=attempt,
    )
