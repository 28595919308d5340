"""Base64 with exactly one text for each value."""

from __future__ import annotations

from typing import Final

import pybase64

from mycelium_fractal_net.api.parsing.faults import SchemaError

# RFC 4648 section 3.5: the bits of the last character that stand for no byte are zero.
_BEFORE_ONE_PAD: Final = frozenset("AEIMQUYcgkosw048")
_BEFORE_TWO_PADS: Final = frozenset("AQgw")
_FAULT: Final = "must be base64 (RFC 4648 section 4), padded, with unused bits zero"


def base64_bytes(text: str, pointer: str = "") -> bytes:
    """The bytes of base64: standard alphabet, padded, canonical, nothing between.

    :raises SchemaError: it is not that; ``pointer`` says where the text stood.
    """
    try:
        value = pybase64.b64decode(text, validate=True)
    except ValueError:
        value = None
    if value is None or (text[-1:] == "=" and not _canonical(text)):
        raise SchemaError([(pointer, _FAULT)])
    return value


def optional_base64(text: str | None, pointer: str = "") -> bytes:
    """As :func:`base64_bytes`, of a member that may be left away: then there are no bytes."""
    return b"" if text is None else base64_bytes(text, pointer)


def _canonical(text: str) -> bool:
    if text[-2] == "=":
        return text[-3] in _BEFORE_TWO_PADS
    return text[-2] in _BEFORE_ONE_PAD
