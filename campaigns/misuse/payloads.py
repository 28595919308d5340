"""Texts that are something else where somebody reads them without care, by kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MARK: Final = "mfn-misuse-mark"  # a file of this name is what a shell that ran one leaves behind
FORGED: Final = "2026-01-01T00:00:00Z CRITICAL forged"

_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "SQL": (
        "' OR '1'='1' --",
        "'; DROP TABLE mfn_keys; --",
        '" UNION SELECT 1,2,3 --',
        "%' ESCAPE '",
    ),
    "shell": (
        f"$(touch {MARK})",
        f"`touch {MARK}`",
        f"; touch {MARK}",
        f"| touch {MARK}",
        f"& touch {MARK}",
        "-rf",
        "--help",
    ),
    "template": ("{{7*7}}", "${7*7}", "<%= 7*7 %>", "#{7*7}", "${jndi:ldap://127.0.0.1:1/a}"),
    "format": ("%s%s%s%n", "%(asctime)s", "{0.__class__.__mro__}", "{self}", "{}", "%d", "%"),
    "line ends": (
        f"a\n{FORGED}",
        f"a\r\nX-Injected: 1\r\n\r\n{FORGED}",
        "a\rb",
        "a%0d%0aX-Injected:%201",
        "\n",
    ),
    "JSON": (
        '","admin":true,"a":"',
        '{"a":1}',
        "[]",
        "null",
        '\\u0022,"a":1',
        "__proto__",
        "constructor.prototype",
    ),
    "LDAP": ("*)(uid=*))(|(uid=*", "*", "admin)(&)"),
    "PKCS#11": (
        "pkcs11:token=a?module-path=/tmp/a.so&pin-value=1234",
        "a;object=b",
        "a%3bobject=b",
    ),
    "paths": (
        "../../../../../etc/passwd",
        "..\\..\\..\\boot.ini",
        "/etc/passwd",
        "....//....//a",
        "%2e%2e%2f%2e%2e%2f",
        "file:///etc/passwd",
        "..",
        ".",
        "~root",
        "/dev/full",
        "orders/../release",
    ),
    "NUL": ("a\0b", "\0", "orders\0.mfn"),
    "controls": (
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\x9b31mred",
        "a\x08b",
        "a\x7fb",
        "a\x85b",
        "\x00\x01\x02",
    ),
    "bidirectional": ("\u202eevil", "a\u2066b\u2069", "\u200fa", "a\u061cb"),
    "zero width": ("or\u200bders", "\ufefforders", "orders\u2060", "or\u00adders", "or\u034fders"),
    "line separators": ("a\u2028b", f"a\u2029{FORGED}", "a\x0bb", "a\x0cb"),
    "homoglyphs": (
        "\u043erders",
        "ord\u0435rs",
        "\uff4f\uff52\uff44\uff45\uff52\uff53",
        "\u03bfrders",
        "orders:\u1d2c1",
    ),
    "normal forms": ("caf\u00e9", "cafe\u0301", "\u212bngstrom", "\u1e9b\u0323"),
    "surrogates": ("\ud800", "a\udfffb", "\udc00\ud800"),
    "numbers": (
        "\u0661\u0662",
        "\uff11\uff12",
        "1_0",
        "+1",
        "1e1",
        "0x10",
        "\u00b2",
        " 1",
        "1 ",
        "-0",
        "9" * 400,
        "NaN",
        "1.0",
    ),
    "CSV": ("=cmd|' /C calc'!A0", "@SUM(1+1)", "+1+1", "-2+3", "\t=1", ',"a",', "a;b"),
    "markup": (
        "<script>alert(1)</script>",
        "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>&b;",
        "&amp;",
        "]]>",
    ),
    "long": ("a" * 5_000, "\u00e9" * 3_000, "a" * 40 + "!", "../" * 2_000),
    "empty": ("", " ", "\t", "\u3000", "\u3164"),
}


@dataclass(frozen=True)
class Payload:
    """A text of one kind."""

    kind: str
    text: str

    @property
    def is_unicode(self) -> bool:
        """Whether it has a spelling in UTF-8: halves of pairs have none."""
        return not any("\ud800" <= each <= "\udfff" for each in self.text)

    @property
    def in_arguments(self) -> str | None:
        """As an argument or a variable can hold it; None where none can: NUL ends one."""
        if "\0" in self.text:
            return None
        if self.is_unicode:
            return self.text
        return self.text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")

    @property
    def in_file_names(self) -> str | None:
        """As a file can be called, alone in its folder."""
        text = self.in_arguments
        if (
            not text
            or "/" in text
            or text in (".", "..")
            or len(text.encode("utf-8", "surrogateescape")) > 250
        ):
            return None
        return text


PAYLOADS: Final = tuple(Payload(kind, text) for kind, texts in _KINDS.items() for text in texts)
KINDS: Final = tuple(_KINDS)


def chosen(place: int, *, quick: bool) -> tuple[Payload, ...]:
    """One of each kind for the field with that number, in turn, so that fields see other ones.

    Quick it is one alone, and fields together see each kind.
    """
    if quick:
        return (PAYLOADS[(place * 7) % len(PAYLOADS)],)
    return tuple(Payload(kind, texts[place % len(texts)]) for kind, texts in _KINDS.items())
