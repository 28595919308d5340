"""Fuzz what reads the URI of an HSM's key (RFC 7512), and where its PIN is.

    python -m fuzz pkcs11_uri -max_total_time=60 fuzz/corpus/pkcs11_uri

The first byte of an input chooses the reader. A finding is an error that is not one of ours,
or a URI that is written otherwise than it was read.
"""

from __future__ import annotations

from pathlib import Path

from fuzz.running import Reader, chosen, seeds_of
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.key_providers.pkcs11 import PinSource, parse_uri

_URI = (
    b"pkcs11:token=My%20T%C3%A9;serial=42&7;manufacturer=M;model=A+B;slot-id=17;object=o;id=%01%aB;"
    b"type=secret-key?module-path=/p.so&pin-source=file:/run/pin%3F"
)


def uri(data: bytes) -> None:
    found = parse_uri(data.decode("utf-8", "replace"))
    names = [each.partition(b"=")[0] for each in data.partition(b"?")[2].split(b"&")]
    assert b"pin-value" not in names, "a finding: a PIN in a URI"
    again = parse_uri(found.text())
    assert again == found, "a finding: another URI"
    assert again.text() == found.text(), "a finding: two writings of one URI"


def pin_source(data: bytes) -> None:
    path = PinSource(data.decode("utf-8", "replace"), credentials=Path("/run/credentials")).path
    assert path is not None, "a finding: a source that is nothing"
    assert path.is_absolute(), "a finding: a file in whatever folder this is"


READERS: tuple[Reader, ...] = (uri, pin_source)


one_input = chosen(READERS, MfnError)


def seeds() -> dict[str, bytes]:
    """A well-formed input for each reader, by its name in the corpus."""
    contents = {uri: _URI, pin_source: b"$CREDENTIALS_DIRECTORY/pin"}
    return seeds_of(READERS, contents)
