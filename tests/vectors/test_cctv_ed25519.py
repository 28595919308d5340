"""CCTV's 914 Ed25519 signatures with odd keys and points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mycelium_fractal_net.security.errors import InvalidKeyError, InvalidSignatureError
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

from . import load_public


def _library_accepts(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _our_answer(key: bytes, signature: bytes, message: bytes) -> str:
    try:
        VerifyingKey(Ed25519PublicKey.from_public_bytes(key)).verify(message, signature)
    except InvalidKeyError:
        return "key refused"
    except InvalidSignatureError:
        return "signature refused"
    return "accepted"


def test_of_all_odd_signatures_only_mixed_order_ones_are_left(
    ran: Callable[[str, int], None],
) -> None:
    """The library takes 208 of them; we take 43, none under or with an odd encoding.

    What is left has points of mixed order in their one encoding, which cannot be told from
    others without a scalar multiplication; each is correct by RFC 8032's stricter equation.
    """
    answers: Counter[str] = Counter()
    library: Counter[bool] = Counter()
    for vector in load_public("cctv/ed25519vectors.json"):
        key, signature = bytes.fromhex(vector["key"]), bytes.fromhex(vector["sig"])
        message, flags = vector["msg"].encode(), set(vector["flags"] or ())
        taken = _library_accepts(key, signature, message)
        answer = _our_answer(key, signature, message)
        library[taken] += 1
        answers[answer] += 1
        if flags & {"low_order_A", "non_canonical_A"}:
            assert answer == "key refused", vector["number"]
        if flags & {"low_order_R", "non_canonical_R"}:
            assert answer != "accepted", vector["number"]
        if answer == "accepted":
            # We only ever refuse more, and what is left is sound without the cofactor.
            assert taken
            assert "low_order_residue" not in flags
    assert library == {True: 208, False: 706}
    assert answers["accepted"] == 43
    assert answers.total() == 914
    ran("CCTV ed25519", answers.total())
