"""Fuzz what reads the URI of an HSM's key (RFC 7512), and where its PIN is.

    python fuzz/fuzz_pkcs11_uri.py fuzz/corpus/pkcs11_uri -max_total_time=60

The first byte of an input chooses the reader. A finding is an error that is not one of ours,
or a URI that is written otherwise than it was read.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

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


READERS: tuple[Callable[[bytes], None], ...] = (uri, pin_source)


def one_input(data: bytes) -> None:
    """Run one input; raises only for a finding."""
    if data:
        with contextlib.suppress(MfnError):
            READERS[data[0] % len(READERS)](data[1:])


def seeds() -> dict[str, bytes]:
    """A well-formed input for each reader, by its name in the corpus."""
    contents = {uri: _URI, pin_source: b"$CREDENTIALS_DIRECTORY/pin"}
    return {
        reader.__name__: bytes([READERS.index(reader)]) + content
        for reader, content in contents.items()
    }


def main() -> None:
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
