"""Every form in which a secret could have been written somewhere, and still be found there.

A form is the bytes that a place would hold. Base64 has three, one for each place of the secret
within a group of three bytes; the characters at both ends, which depend on what stands beside the
secret, are left out.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Callable
from typing import Final

_INT_DIGIT_BITS: Final = 30  # CPython, Include/cpython/longintrepr.h
_SHORTEST: Final = 8  # bytes of a form: shorter ones turn up by chance


def _base64(value: bytes, shift: int, encode: Callable[[bytes], bytes]) -> bytes:
    """What of base64 is the same whatever stands before the secret, which begins ``shift`` bytes
    into a group, and after it."""
    text = encode(bytes(shift) + value + b"\0\0\0")
    begin = {0: 0, 1: 2, 2: 3}[shift]
    return text[begin : (8 * (shift + len(value))) // 6]


def _wide(value: bytes, encoding: str) -> bytes:
    """As a string whose characters are the bytes, such as a string of CPython beside wide ones."""
    return value.decode("latin-1").encode(encoding)


def _int_digits(value: bytes) -> bytes:
    """As an integer of CPython, from big-endian bytes: 30 bits in 4 bytes, the lowest first."""
    number, digits = int.from_bytes(value, "big"), bytearray()
    while number:
        digits += (number & ((1 << _INT_DIGIT_BITS) - 1)).to_bytes(4, "little")
        number >>= _INT_DIGIT_BITS
    return bytes(digits)


_FORMS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "raw": bytes,
    "hex": lambda value: value.hex().encode(),
    "HEX": lambda value: value.hex().upper().encode(),
    "hex:colons": lambda value: value.hex(":").encode(),
    "base64+0": lambda value: _base64(value, 0, base64.b64encode),
    "base64+1": lambda value: _base64(value, 1, base64.b64encode),
    "base64+2": lambda value: _base64(value, 2, base64.b64encode),
    "base64url+0": lambda value: _base64(value, 0, base64.urlsafe_b64encode),
    "base64url+1": lambda value: _base64(value, 1, base64.urlsafe_b64encode),
    "base64url+2": lambda value: _base64(value, 2, base64.urlsafe_b64encode),
    "UTF-16LE": lambda value: _wide(value, "utf-16-le"),
    "UTF-16BE": lambda value: _wide(value, "utf-16-be"),
    "UTF-32LE": lambda value: _wide(value, "utf-32-le"),
    "UTF-8 of Latin-1": lambda value: _wide(value, "utf-8"),
    "hex in UTF-16LE": lambda value: value.hex().encode("utf-16-le"),
    "base64 in UTF-16LE": lambda value: (
        _base64(value, 0, base64.b64encode).decode().encode("utf-16-le")
    ),
    "reversed": lambda value: value[::-1],
    "repr": lambda value: repr(value)[2:-1].encode(),
    "JSON": lambda value: json.dumps(value.decode("latin-1"))[1:-1].encode(),
    "percent": lambda value: urllib.parse.quote_from_bytes(value, safe="").encode(),
    "list of numbers": lambda value: ", ".join(map(str, value)).encode(),
    "integer of CPython": _int_digits,
}

NAMES: Final = tuple(_FORMS)


def forms(value: bytes) -> dict[str, bytes]:
    """The forms of ``value`` by their names; of those that are the same bytes the first alone."""
    found: dict[bytes, str] = {}
    for name, form in _FORMS.items():
        written = form(value)
        if len(written) >= _SHORTEST:
            found.setdefault(written, name)
    return {name: written for written, name in found.items()}
