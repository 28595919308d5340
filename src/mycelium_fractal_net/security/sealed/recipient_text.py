"""Keys of recipients as text: a line for each, with comments between them.

    # made for the accounts of March
    mfn-recipient:x25519:…
    mfn-identity:x25519:…      the private one
    mfn-identity-sealed:x25519:…   that under a passphrase, :mod:`.sealed_identity`

What stands behind the second colon is base64url (RFC 4648 section 5, no padding) of the key's bytes
and the first four of SHA-256 over the text before them and the bytes, so that a slip of the pen is
no other key. Empty lines and those that begin with ``#`` are passed over, and white space around a
line. Whatever else there is, is refused: a file that is half understood would seal to half of those
it names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.byte_io.encodings import b64url_decode, b64url_encode
from mycelium_fractal_net.security.errors import InvalidKeyError
from mycelium_fractal_net.security.sealed.addressed_layout import (
    IDENTITY,
    KINDS,
    RECIPIENT,
    SEALED_IDENTITY,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.byte_io.buffers import Buffer

WORDS: Final = {algorithm: word for word, algorithm in KINDS.items()}
"""What a line calls a key of each algorithm."""
MOST_SEALED: Final = 16  # of private keys under a passphrase in a file: each takes up to seconds
_CHECK_BYTES: Final = 4
_WHAT: Final = {
    IDENTITY: "a private key",
    SEALED_IDENTITY: "a private key under a passphrase",
    RECIPIENT: "a public key",
}


class IdentityLine(NamedTuple):
    """A private key in a file: the number of its line, and what stands there."""

    number: int
    sealed: bool
    algorithm: str
    raw: bytes


def key_line(label: str, algorithm: str, raw: bytes) -> str:
    """The line of a key, public or private."""
    word = WORDS[algorithm]
    return f"{label}{word}:{b64url_encode(raw + _check(label, word, raw))}"


def parse_key_lines(text: str, label: str) -> list[tuple[str, bytes]]:
    """The algorithm and the bytes of each key in a file, at least one, all of that label.

    Raises :class:`InvalidKeyError`. Of private keys the public halves are not taken: whoever names
    one as a recipient has the wrong file in hand, and would send it on.
    """
    found = [_parsed(line, number, (label,))[1:] for number, line in _lines(text)]
    if not found:
        raise InvalidKeyError(f"there is no line that begins with {label}")
    return found


def parse_identity_lines(text: str) -> list[IdentityLine]:
    """The private keys in a file, at least one; those under a passphrase are 16 at most.

    Raises :class:`InvalidKeyError`.
    """
    found = []
    for number, line in _lines(text):
        label, algorithm, raw = _parsed(line, number, (IDENTITY, SEALED_IDENTITY))
        found.append(IdentityLine(number, label == SEALED_IDENTITY, algorithm, raw))
    if not found:
        raise InvalidKeyError(f"there is no line that begins with {IDENTITY}")
    if sum(each.sealed for each in found) > MOST_SEALED:
        raise InvalidKeyError(f"a file has at most {MOST_SEALED} keys under a passphrase")
    return found


def text_of(content: Buffer | str) -> str:
    """A file of keys as text. Raises :class:`InvalidKeyError` where it is none."""
    if isinstance(content, str):
        return content
    try:
        return bytes(as_bytes(content)).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidKeyError("the file of keys is not UTF-8") from None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def _parsed(line: str, number: int, labels: tuple[str, ...]) -> tuple[str, str, bytes]:
    label = next(filter(line.startswith, labels), None)
    if label is None:
        found = next((what for each, what in _WHAT.items() if line.startswith(each)), "no key")
        raise InvalidKeyError(f"line {number} should begin with {labels[0]} and is {found}")
    word, _, encoded = line.removeprefix(label).partition(":")
    if word not in KINDS:
        raise InvalidKeyError(f"line {number}: a key is one of {', '.join(KINDS)}")
    try:
        value = b64url_decode(encoded)
    except InvalidKeyError:
        value = b""
    raw, check = value[:-_CHECK_BYTES], value[-_CHECK_BYTES:]
    if check != _check(label, word, raw):
        raise InvalidKeyError(f"line {number} was not copied as it was: its check is wrong")
    return label, KINDS[word], raw


def _check(label: str, word: str, raw: bytes) -> bytes:
    return sha256(f"{label}{word}:".encode() + raw)[:_CHECK_BYTES]
