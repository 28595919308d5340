"""Fuzz what reads messages for recipients, and keys of recipients as text.

    python -m fuzz addressed -max_total_time=60 fuzz/corpus/addressed

The first byte of an input chooses the reader. A finding is an error that is not one of ours, a
header or a key with two spellings, ways to open that disagree, or plaintext from a message that was
not sealed here.
"""

from __future__ import annotations

import io

from fuzz.running import Reader, chosen, seeds_of
from mycelium_fractal_net.files.recipients import (
    open_reader_with,
    open_stream_with,
    open_with,
    read_identities,
    read_recipients,
    seal_to,
)
from mycelium_fractal_net.security.errors import DecryptionError, MfnError
from mycelium_fractal_net.security.records.open_options import OpenOptions
from mycelium_fractal_net.security.sealed.addressed_layout import (
    IDENTITY,
    RECIPIENT,
    parse_addressed_header,
    read_addressed_header,
)
from mycelium_fractal_net.security.sealed.recipient_text import (
    key_line,
    parse_identity_lines,
    parse_key_lines,
    text_of,
)
from mycelium_fractal_net.security.sealed.recipients import RecipientKey
from mycelium_fractal_net.security.sealed.sealed_identity import SealedIdentity

SUITES = ("HPKE-X25519", "HPKE-P256", "HPKE-MLKEM768-X25519")
KEYS = [RecipientKey.from_private_bytes(name, bytes([7]) * 32) for name in SUITES]
ROW = OpenOptions(b"row 17")


def header(data: bytes) -> None:
    parsed, reader = parse_addressed_header(data), io.BytesIO(data)
    assert read_addressed_header(reader) == parsed, "a finding: two readers, two headers"
    assert data.startswith(parsed.raw), "a finding: a header with two spellings"
    assert reader.tell() == len(parsed.raw), "a finding: more was read than the header"


def message(data: bytes) -> None:
    opened: list[bytes | None] = []
    for way in (_whole, _stream, _position):
        try:
            opened.append(way(data))
        except DecryptionError:
            opened.append(None)
    assert len(set(opened)) == 1, "a finding: ways to open disagree"
    assert opened[0] in (None, b"plain"), "a finding: it was not sealed here"
    if opened[0] is None:
        raise DecryptionError


def _whole(data: bytes) -> bytes:
    return open_with(KEYS, data, associated_data=b"row 17")


def _stream(data: bytes) -> bytes:
    written = io.BytesIO()
    open_stream_with(KEYS, io.BytesIO(data), written, ROW)
    return written.getvalue()


def _position(data: bytes) -> bytes:
    return open_reader_with(KEYS, io.BytesIO(data), ROW).read()


def recipients(data: bytes) -> None:
    for each in read_recipients(data):
        again = read_recipients(each.line())
        assert again == [each], "a finding: a key that does not come back"


def identities(data: bytes) -> None:
    for each in read_identities(data):
        (again,) = read_identities(each.line())
        assert again.public == each.public, "a finding: a key that does not come back"


def sealed_identities(data: bytes) -> None:
    # Taken apart alone: a passphrase would take 20 ms of each input.
    for line in parse_identity_lines(text_of(data)):
        if line.sealed:
            found = SealedIdentity.of(line.algorithm, line.raw)
            (again,) = parse_identity_lines(found.line())
            assert again.raw == line.raw, "a finding: a line with two spellings"
            assert found.recipient.public_bytes() == found.public, "a finding: another public key"


def lines(data: bytes) -> None:
    text = text_of(data)
    for label in (RECIPIENT, IDENTITY):
        if text.startswith(label):
            written = [key_line(label, *each) for each in parse_key_lines(text, label)]
            there = [each.strip() for each in text.split("\n")]
            shown = [each for each in there if each and not each.startswith("#")]
            assert shown == written, "a finding: a line with two spellings"


READERS: tuple[Reader, ...] = (
    header,
    message,
    recipients,
    identities,
    lines,
    sealed_identities,
)

one_input = chosen(READERS, MfnError)


def _sealed_line() -> str:
    public = KEYS[0].public
    at = SealedIdentity(public.algorithm, 200_000, bytes(32), public.public_bytes(), bytes(104))
    return at.line()


def seeds() -> dict[str, bytes]:
    """Well-formed inputs for each reader: the corpus that mutations begin from."""
    public = [key.public for key in KEYS[:2]]
    sealed = seal_to(public, b"plain", associated_data=b"row 17")
    text = "# us\n\n" + "\n".join(each.line() for each in public)
    contents = {
        header: sealed,
        message: sealed,
        recipients: text.encode(),
        identities: "\n".join(key.line() for key in KEYS).encode(),
        lines: KEYS[0].public.line().encode(),
        sealed_identities: _sealed_line().encode(),
    }
    return seeds_of(READERS, contents)
