"""Text that others chose, on its way to a terminal, a log or a line of JSON.

Nothing in it may move a cursor, end a line, or turn round what stands behind it: controls (C0, C1,
DEL), line and paragraph separators, bidirectional and invisible format characters, halves of
surrogate pairs. They are escaped, and so are told apart; everything else is as it was.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

_NOT_ASCII: Final = re.compile("[^\x00-\x7e]")


def printable(text: str) -> str:
    r"""``text`` with every character that is not printable escaped, as ``\x1b`` or ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def ascii_json(encoded: bytes) -> bytes:
    """JSON in UTF-8 as JSON of the same value in printable ASCII."""
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded
    return _NOT_ASCII.sub(_unit, encoded.decode()).encode()


def _unit(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def json_line(value: Any) -> str:
    """``value`` as JSON on one line in printable ASCII, halves of surrogate pairs and all."""
    return json.dumps(value).replace("\x7f", "\\u007f")
