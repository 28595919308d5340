"""One named parameter of a query, as RFC 9421 section 2.2.8 writes its value.

Stricter than the HTML form parser that the RFC cites, which turns what is no UTF-8 and no
percent-encoding into something else: here it is refused.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from mycelium_fractal_net.security.errors import InvalidSignatureError

_broken_escape: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def query_parameter(raw_query: bytes, encoded_name: str) -> bytes:
    """The value of the parameter that is there once, percent-encoded anew.

    :raises InvalidSignatureError: it is not there, or twice, or something in the query is not
        percent-encoded UTF-8.
    """
    pairs = [pair.partition(b"=") for pair in raw_query.split(b"&")]
    decoded = [(encoded(name), encoded(value)) for name, _, value in pairs]
    values = [value for name, value in decoded if name == encoded_name]
    if len(values) != 1 or not encoded_name:
        raise InvalidSignatureError
    return values[0].encode("ascii")


def encoded(raw: bytes) -> str:
    """``raw`` of a query, decoded and encoded again, so that it has one spelling.

    All but ASCII letters, digits and ``*-._`` is encoded, the space as ``%20``.
    """
    if _broken_escape.search(raw):
        raise InvalidSignatureError
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidSignatureError from None
    return quote(text, safe="*").replace("~", "%7E")  # quote() never encodes the tilde
