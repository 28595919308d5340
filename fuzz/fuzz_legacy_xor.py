"""Fuzz what opens messages of the XOR cipher, as text and as bytes.

    python -m fuzz legacy_xor -max_total_time=60 fuzz/corpus/legacy_xor

The first byte of an input chooses how the message behind it is handed over. A finding is an error
that is not one of ours, ways to open that disagree, or data from a message that is not the one that
was written here: without the key nobody makes another one.
"""

from __future__ import annotations

import base64
import hashlib

from fuzz.running import seeds_of
from mycelium_fractal_net.legacy.cipher import XorOpener
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.policy import Policy

KEY = hashlib.sha256(b"mycelium-fractal-net test key").digest()
OPENER = XorOpener(Policy(), KEY)
DATA = "über alte Nachrichten"
# Written with this key, salt 00..0f and iv 10..1f by tests/support/legacy_xor.py.
MESSAGE = (
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh92aIvQZwyDn7BfKX"
    "BjLJtRhNABhR_NrI9pK9pF-pM_mawS44eajF2isK4EmMQJhnwhqBgzY9U="
)


def as_bytes(message: bytes) -> bytes:
    return OPENER.open(message)


def as_view(message: bytes) -> bytes:
    return OPENER.open(memoryview(message))


def as_text(message: bytes) -> bytes:
    return OPENER.open(message.decode("latin-1"))


def encoded(message: bytes) -> bytes:
    """The bytes that the text stands for, so that mutations need not keep to an alphabet."""
    return OPENER.open(base64.urlsafe_b64encode(message))


READERS = (as_bytes, as_view, as_text, encoded)


def one_input(data: bytes) -> None:
    """Run one input; raises only for a finding."""
    if not data:
        return
    reader, message = READERS[data[0] % len(READERS)], data[1:]
    try:
        found = reader(message)
    except DecryptionError:
        return
    text = base64.urlsafe_b64encode(message) if reader is encoded else message
    assert text == MESSAGE.encode(), "a finding: a message that nobody wrote"
    assert found == DATA.encode(), "a finding: other data than was written"


def seeds() -> dict[str, bytes]:
    """The one well-formed message, for every way to hand it over."""
    text = MESSAGE.encode()
    contents = {
        reader: base64.urlsafe_b64decode(text) if reader is encoded else text for reader in READERS
    }
    return seeds_of(READERS, contents)
