"""Fuzz what reads settings: configuration files, and the variables that override them.

    python -m fuzz settings -max_total_time=60 fuzz/corpus/settings

The first byte of an input chooses the reader. A finding is an error that is not one of ours, one
of several lines or with a control character in it, or a document that JSON reads as another.
"""

from __future__ import annotations

import json
from typing import Any

from fuzz.running import Reader, Scratch, seeds_of
from mycelium_fractal_net.config import VARIABLES, load_settings
from mycelium_fractal_net.config.document import read_document
from mycelium_fractal_net.security.errors import MfnError

FILE = Scratch("settings.json")
NAMES = sorted(VARIABLES)


def document(data: bytes) -> None:
    """A file alone: whatever is taken is the JSON that it is."""
    found = read_document(FILE.holding(data), "fuzz")
    assert found == json.loads(data.decode("utf-8-sig")), "a finding: another document"


def settings(data: bytes) -> None:
    """A file as settings."""
    load_settings(FILE.holding(data), environ={})


# Bytes seldom come together as settings; of these pieces, one for each byte, they often do.
PIECES = [
    r"{",
    r"}",
    r"[",
    r"]",
    r",",
    r":",
    r'"',
    r"null",
    r"true",
    r"false",
    r"0",
    r"-1",
    r"1.5",
    r"90",
    r"1e9",
    r"99999999999999999999",
    r"NaN",
    r'""',
    r'"x"',
    r'"dev"',
    r"{}",
    r"[]",
    r'"home":',
    r'"key_store":',
    r'"url":',
    r'"sqlite:///x.db"',
    r'"postgresql://h/d"',
    r'"master_key":',
    r'"file":',
    r'"server":',
    r'"port":',
    r'"host":',
    r'"trusted_proxies":',
    r'"security":',
    r'"tls":',
    r'"certificate":',
    r'"algorithms":',
    r'"audit":',
    r'"uses":',
    r'"key_management":',
    r'"provider":',
    r'"local"',
    r'"aws_kms_key_id":',
    r'"former":',
    r'"rate_limits":',
    r'"rotation":',
    r'"signing":',
    r'"signed_requests":',
    r'"policy":',
    r'"required"',
    r'"other":',
    r'"/x"',
    r'"~nobody/x"',
    r'"\ud800"',
    r'"a\u0000"',
]


def pieces(data: bytes) -> None:
    """A file of such pieces as settings."""
    settings("".join(PIECES[each % len(PIECES)] for each in data).encode())


def variables(data: bytes) -> None:
    """Values of variables, each behind the byte that names it, ended by NUL."""
    environ = {
        NAMES[each[0] % len(NAMES)]: each[1:].decode("utf-8", "surrogateescape")
        for each in data.split(b"\0")
        if each
    }
    load_settings("dev", environ=environ)


READERS: tuple[Reader, ...] = (document, settings, pieces, variables)


def one_input(data: bytes) -> None:
    """Run one input; raises only for a finding."""
    if not data:
        return
    try:
        READERS[data[0] % len(READERS)](data[1:])
    except MfnError as error:
        assert str(error).isprintable(), "a finding: an error of several lines"  # noqa: PT017


def seeds() -> dict[str, bytes]:
    """A well-formed input for each reader."""
    shipped: dict[str, Any] = {"key_store": {"url": "sqlite:///x.db"}, "server": {"port": 8000}}
    text = json.dumps(shipped).encode()
    chosen = ("{", '"server":', "{", '"port":', "90", "}", "}")
    contents: dict[Reader, bytes] = {
        document: b"\xef\xbb\xbf" + text,
        settings: text,
        pieces: bytes(PIECES.index(each) for each in chosen),
        variables: bytes([NAMES.index("MFN_HOME")]) + b"/x",
    }
    return seeds_of(READERS, contents)
