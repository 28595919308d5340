"""Fuzz what reads short texts of callers: API keys, ids, names, scopes, times, cursors' text.

    python -m fuzz names -max_total_time=60 fuzz/corpus/names

The first byte of an input chooses the reader. A finding is an error that is not one of ours, or a
text that is taken in two spellings.
"""

from __future__ import annotations

import hashlib

from fuzz.running import Reader, chosen, seeds_of
from mycelium_fractal_net.security.byte_io.encodings import b64url_decode, b64url_encode
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.records.api_keys import parse
from mycelium_fractal_net.security.records.credentials import check_name, check_scopes
from mycelium_fractal_net.security.records.file_names import FileName
from mycelium_fractal_net.security.records.file_names import check_name as check_file
from mycelium_fractal_net.security.records.keys import parse_key_id
from mycelium_fractal_net.security.records.signers import check_signer
from mycelium_fractal_net.shapes.json_values import parse_timestamp, time_text


def api_key(data: bytes) -> None:
    found = parse(data)
    if found.credential_id:
        prefix = b"mfn_%b_" % found.credential_id
        assert data.startswith(prefix), "a finding: another id"
        secret = hashlib.sha256(data[len(prefix) :]).digest()
        assert found.digest == secret, "a finding: the digest of something else"
    if data.isascii():
        assert parse(data.decode()) == found, "a finding: text reads as something else"


def key_id(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    name, version = parse_key_id(text)
    again = name if version is None else f"{name}:v{version}"
    assert again == text, "a finding: two spellings of one version"


def scopes(data: bytes) -> None:
    found = tuple(data.decode("utf-8", "surrogateescape").split(" "))
    check_scopes(found)
    assert " ".join(found).isascii(), "a finding: a scope that is not ASCII"


def name(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    check_name(text)
    assert text.isascii(), "a finding: a name that is not ASCII"
    assert text.isprintable(), "a finding: a name with a control character"


def signer(data: bytes) -> None:
    name, *credentials = data.decode("utf-8", "surrogateescape").split("\0")
    check_signer(name, tuple(credentials), any_credential=not credentials)
    assert name.isprintable(), "a finding: a name with a control character"


def file_name(data: bytes) -> None:
    digest, text = data[:32], data[32:].decode("utf-8", "surrogateescape")
    check_file(digest, FileName(text))


def timestamp(data: bytes) -> None:
    found = parse_timestamp(data.decode("utf-8", "surrogateescape"))
    assert parse_timestamp(time_text(found)) == found.replace(microsecond=0), "a finding"


def base64url(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert b64url_encode(b64url_decode(text)) == text, "a finding: two spellings"


READERS: tuple[Reader, ...] = (
    api_key,
    key_id,
    scopes,
    name,
    signer,
    file_name,
    timestamp,
    base64url,
)

one_input = chosen(READERS, MfnError)


def seeds() -> dict[str, bytes]:
    """A well-formed text for each reader."""
    contents: dict[Reader, bytes] = {
        api_key: b"mfn_0123456789abcdef_" + b"A" * 43,
        key_id: b"orders.eu-1:v3",
        scopes: b"encrypt:orders decrypt:* keys:read",
        name: b"billing (nightly)",
        signer: b"peer\x000123456789abcdef",
        file_name: FileName("a.txt").digest + b"a.txt",
        timestamp: b"2026-03-01T12:00:00+02:00",
        base64url: b"aGVsbG8",
    }
    return seeds_of(READERS, contents)
