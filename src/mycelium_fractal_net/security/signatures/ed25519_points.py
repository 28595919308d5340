"""Which 32 bytes may stand for a point of Ed25519, as a key or as the R of a signature.

``cryptography`` takes every encoding. Under a key of low order any message verifies with one
signature; under a second encoding of a point, two byte strings are the same key. RFC 8032
section 5.1.3 decodes neither a y of p or more nor a negative zero x; refusing low order goes
past the RFC and is what SP 800-186 and FIPS 186-5 ask of a validated public key.

Points of mixed order (a large-order point plus a small one) are not looked for: it would take
a scalar multiplication per key, and what they allow is that their owner makes one signature
that some other verifiers refuse.
"""

from __future__ import annotations

from typing import Final

POINT_BYTES: Final = 32  # RFC 8032 section 5.1.5

_P: Final = 2**255 - 19  # the field, RFC 8032 section 5.1
_D: Final = -121665 * pow(121666, -1, _P) % _P  # the curve constant, RFC 8032 section 5.1
_SIGN: Final = 1 << 255  # the bit that holds the sign of x, RFC 8032 section 5.1.2

# y of the points whose order divides 8: the neutral element, the one of order 2, the two of
# order 4, and the four of order 8. They follow from the curve equation; a test computes them
# again from it.
_LOW_ORDER_Y: Final = (
    1,
    _P - 1,
    0,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
)

# All 14 encodings of low order are here: 10 from the five y above with either sign, negative
# zeros included, and 4 (y = p and p + 1) among the 19 y that are not reduced.
REFUSED_ENCODINGS: Final = frozenset(
    (y | sign).to_bytes(POINT_BYTES, "little")
    for y in (*_LOW_ORDER_Y, *range(_P, _P + 19))
    for sign in (0, _SIGN)
)
"""Low-order and non-canonical encodings of points; one look-up decides."""


def is_on_curve(encoded: bytes) -> bool:
    """Whether 32 bytes decode to a point (RFC 8032 section 5.1.3 steps 1 to 3). About 60 us.

    Only for public data: it does not run in constant time.
    """
    y2 = (int.from_bytes(encoded, "little") % _SIGN) ** 2 % _P
    # x^2 = (y^2 - 1) / (d y^2 + 1); u/v is a square exactly when u*v is (Euler's criterion).
    return pow((y2 - 1) * (_D * y2 + 1), (_P - 1) // 2, _P) in (0, 1)
