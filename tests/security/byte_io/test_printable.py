"""Text of others: on a terminal, in a log and in JSON it is shown and does nothing."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from mycelium_fractal_net.security.audit.events import Event, encode
from mycelium_fractal_net.security.byte_io.printable import ascii_json, json_line, printable

ACTING = {
    "\x1b[31m": "\\x1b[31m",
    "a\r\nb": "a\\r\\nb",
    "\x9b": "\\x9b",
    "\x7f": "\\x7f",
    "\x85": "\\x85",
    "\u2028": "\\u2028",
    "\u202e": "\\u202e",
    "\u2066": "\\u2066",
    "\u200b": "\\u200b",
    "\ufeff": "\\ufeff",
    "\u00ad": "\\xad",
    "\udcff": "\\udcff",
    "\U000e0001": "\\U000e0001",
}


@pytest.mark.parametrize("text", ACTING)
def test_what_acts_on_a_terminal_is_escaped(text: str) -> None:
    """Controls, separators, what turns text round, what is not seen, halves of pairs."""
    assert printable(f"caf\u00e9 {text} \u043e") == f"caf\u00e9 {ACTING[text]} \u043e"


def test_no_control_or_format_character_of_unicode_is_left() -> None:
    """Each of them, by its category."""
    for number in range(sys.maxunicode + 1):
        if unicodedata.category(chr(number)) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            assert printable(chr(number)).isascii()


@pytest.mark.parametrize("text", [*ACTING, "caf\u00e9", "\U0001f511", "plain"])
def test_json_of_it_is_ascii_and_the_same_value(text: str) -> None:
    """By both ways to it; half a pair has no UTF-8, and so the second alone."""
    line = json_line({"path": text})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"path": text}
    if text != "\udcff":
        made = ascii_json(json.dumps({"path": text}, ensure_ascii=False).encode())
        assert made.isascii()
        assert made.decode().isprintable()
        assert json.loads(made) == {"path": text}


def test_an_audit_record_is_ascii_whatever_its_texts_are() -> None:
    """It is exported as it is written: to a pipe, to syslog, and so to somebody's terminal."""
    line = encode(Event("encrypt", "ok", reference="\x9b31m\u202eevil\u2028"))
    assert line.isascii()
    assert json.loads(line)["reference"] == "\x9b31m\u202eevil\u2028"
