"""What requests take of a processor, measured, and from when on that is too much for whom.

The event loop's thread serves everybody, and eight threads all that waits for the key store. So
what takes long goes to a thread of its own. Seconds, of one core of the machine on which the
numbers of the documentation were measured (``benchmarks/``); on another they differ by a factor,
and the bounds are far enough from what anybody notices to allow for that.
"""

from __future__ import annotations

from typing import Final

INLINE_SECONDS: Final = 0.005
"""More than this is not done on the event loop."""
INLINE_BYTES: Final = 262_144
"""A larger body is not worked on there either: 1 to 2 ms of JSON and base64."""
THREAD_SECONDS: Final = 0.05
"""More than this has the one thread that stands back."""
WAITING_SECONDS: Final = 4.0
"""More than this does not wait for that thread: it is refused."""

SCAN_SECONDS: Final = 1.0
"""A search in the audit records reads for so long, and gives a cursor."""

ITEM_SECONDS: Final = 10e-6  # JSON, base64, permissions, AES-256-GCM of one small item
XOR_SECONDS: Final = 0.023  # PBKDF2, for each message of the XOR cipher

SIGNATURE_SECONDS: Final = {
    "sign": {"Ed25519": 40e-6, "ECDSA-P256": 35e-6, "ECDSA-P384": 0.9e-3, "ML-DSA-65": 1.1e-3},
    "verify": {"Ed25519": 120e-6, "ECDSA-P256": 90e-6, "ECDSA-P384": 0.8e-3, "ML-DSA-65": 200e-6},
}
"""By operation and algorithm; P-384 as OpenSSL has it without assembly for it, 4 times slower."""


def signature_cost(operation: str, algorithm: str) -> float:
    """What one ``sign`` or ``verify`` takes; of an algorithm that is not listed as the slowest."""
    seconds = SIGNATURE_SECONDS[operation]
    return seconds.get(algorithm, max(seconds.values()))
