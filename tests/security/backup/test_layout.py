"""What stands before the body of a backup has one spelling."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.backup.layout import BackupHeader, encode_start, read_start
from mycelium_fractal_net.security.errors import DecryptionError

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER = BackupHeader("0" * 32, "1" * 32, 1, 2, "0014", "local:0123abcd", b"wrapped")


def started(header: bytes) -> bytes:
    return b"MFB\x01" + len(header).to_bytes(4, "big") + header


def test_the_start_is_read_as_it_was_written() -> None:
    """And not a byte more."""
    written = encode_start(HEADER)
    reader = io.BytesIO(written + b"body")
    assert read_start(reader) == (HEADER, written)
    assert reader.read() == b"body"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'{"', b'{"store_id":"' + b"2" * 32 + b'","', 1),
        lambda text: text[:-1] + b',"generation":7}',
        lambda text: text.replace(b":", b": "),
        lambda text: text + b"\n",
        lambda text: text.replace(b"generation", b"\\u0067eneration"),
        lambda text: json.dumps(dict(reversed(json.loads(text).items()))).encode(),
    ],
    ids=["first twice", "last twice", "white space", "line end", "escapes", "another order"],
)
def test_another_spelling_is_no_backup(change: Callable[[bytes], bytes]) -> None:
    """Of a member that stands twice two readers could see two stores."""
    header = encode_start(HEADER)[8:]
    assert change(header) != header
    with pytest.raises(DecryptionError):
        read_start(io.BytesIO(started(change(header))))
