"""What may stand in a line that is read: no control, no line end, nothing that turns text."""

from __future__ import annotations

import json


def unprintable(text: str) -> str | None:
    """The first character of a line that must not be in it, by its number; None without one."""
    return next((f"U+{ord(each):04X}" for each in text if not each.isprintable()), None)


def faults_of_lines(text: str, *, of: str) -> list[str]:
    """What is wrong with lines that are for people."""
    return [
        f"{of}: {which} in {line[:60]!a}"
        for line in text.removesuffix("\n").split("\n")
        if (which := unprintable(line)) is not None
    ]


def faults_of_json_lines(raw: bytes, *, of: str) -> list[str]:
    """What is wrong with lines of JSON: each an object, in printable ASCII."""
    found = []
    for line in raw.removesuffix(b"\n").split(b"\n"):
        try:
            value = json.loads(line)
        except ValueError:
            found.append(f"{of}: no JSON: {line[:60]!r}")
            continue
        if not isinstance(value, dict) or not line.isascii() or not line.decode().isprintable():
            found.append(f"{of}: {line[:80]!r}")
    return found
