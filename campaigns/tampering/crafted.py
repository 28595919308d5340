"""Messages that are authentic and wrong in shape: what only a holder of the key can make.

A change of a message fails its tags wherever it is. These are sealed right, chunk by chunk, from
the primitives alone, so that what is left to refuse them is the shape.
"""

from __future__ import annotations

import hmac
import random
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from campaigns.tampering.ciphertexts import DATA, HANDLE, KEY, NAME

_SCHEME: Final = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"
_CHUNK: Final = 16_384
_LABELS: Final = ("sealed", "envelope", "datakey", "named", "backup", "wrap")
SHAPES: Final = (
    "right",
    "full last chunk",
    "empty chunk in the middle",
    "short chunk in the middle",
    "empty chunk more",
    "no chunk",
    "numbers from 1",
    "another form",
    "another label",
    "no commitment",
    "header alone differs",
)


def body(
    key: bytes, context: bytes, chunks: list[bytes], *, salt: bytes, first: int = 0, commit: int = 0
) -> bytes:
    """Salt, commitment, and the chunks as they are given, numbered from ``first``."""
    info = _SCHEME + salt + context
    one = hmac.digest(key, info + b"\x01", "sha512")
    derived = one + hmac.digest(key, one + info + b"\x02", "sha512")
    cipher, base = AESGCM(derived[:32]), int.from_bytes(derived[32:44], "big")
    commitment = bytes(each ^ commit for each in derived[44:76])
    sealed = [
        cipher.encrypt((base ^ first + number).to_bytes(12, "big"), chunk, None)
        for number, chunk in enumerate(chunks)
    ]
    return salt + commitment + b"".join(sealed)


def crafted(chance: random.Random) -> tuple[str, bytes]:
    """A shape, and a message of it."""
    shape = chance.choice(SHAPES)
    salt, short = chance.randbytes(24), chance.randbytes(chance.randrange(40))
    full = bytes(_CHUNK)
    chunks = {
        "full last chunk": chance.choice(([full], [full, full])),
        "empty chunk in the middle": [b"", short],
        "short chunk in the middle": [short, short],
        "empty chunk more": [short, b""],
        "no chunk": [],
        "right": chance.choice(([short], [b""], [full, short])),
    }.get(shape, [short])
    form = chance.choice((1, 2, 4))
    header = bytes(b"MFN%c%b" % (chance.randrange(8) if shape == "another form" else form, HANDLE))
    label = {1: "sealed", 2: "envelope", 4: "named"}[form]
    if shape == "another label":
        label = chance.choice([each for each in _LABELS if each != label])
    key, prefix = KEY, header
    if form == 2:
        key = chance.randbytes(32)
        context = b"mycelium-fractal-net/datakey/v1" + header + b"lease 1"
        prefix += body(KEY, context, [key], salt=chance.randbytes(24))
    elif form == 4:
        prefix += NAME.digest
    context = b"mycelium-fractal-net/" + label.encode() + b"/v1" + prefix + DATA
    made = body(
        key,
        context,
        chunks,
        salt=salt,
        first=int(shape == "numbers from 1"),
        commit=int(shape == "no commitment"),
    )
    if shape == "header alone differs":
        prefix = prefix[:3] + bytes([prefix[3] ^ 3]) + prefix[4:]
    return shape, prefix + made
