"""Fuzz what reads HPKE blobs and the keys of recipients.

    python -m fuzz recipients -max_total_time=60 fuzz/corpus/recipients

The first byte of an input chooses the reader. A finding is an error that is not one of ours,
or a key that has a second spelling.
"""

from __future__ import annotations

from fuzz.running import Reader, chosen, seeds_of
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.sealed.recipients import (
    Recipient,
    RecipientKey,
    open_as_recipient,
    seal_to_recipient,
)

KEY = RecipientKey.from_private_bytes("HPKE-X25519", bytes([7]) * 32)
ON_P256 = RecipientKey.from_private_bytes("HPKE-P256", bytes([7]) * 32)


def _same(one: object, other: object) -> None:
    assert one == other, "a finding: two spellings of one thing"


def _within(block: bytes, data: bytes) -> None:
    assert block in data.replace(b"\r\n", b"\n"), "a finding: two spellings of one key"


def blob(data: bytes) -> None:
    open_as_recipient(KEY, data)


def recipient(data: bytes) -> None:
    _same(Recipient.from_bytes("HPKE-X25519", data).public_bytes(), data)


def recipient_pem(data: bytes) -> None:
    _within(Recipient.from_pem(data).pem().strip(), data)


def private_pem(data: bytes) -> None:
    _within(RecipientKey.from_pem(data).private_pem().strip(), data)


def blob_p256(data: bytes) -> None:
    open_as_recipient(ON_P256, data)


def recipient_p256(data: bytes) -> None:
    _same(Recipient.from_bytes("HPKE-P256", data).public_bytes(), data)


READERS: tuple[Reader, ...] = (
    blob,
    recipient,
    recipient_pem,
    private_pem,
    blob_p256,
    recipient_p256,
)


one_input = chosen(READERS, MfnError)


def seeds() -> dict[str, bytes]:
    """Well-formed inputs for each reader: the corpus that mutations begin from."""
    contents = {
        blob: seal_to_recipient(KEY.public, b"plain"),
        recipient: KEY.public.public_bytes(),
        recipient_pem: KEY.public.pem(),
        private_pem: KEY.private_pem(),
        blob_p256: seal_to_recipient(ON_P256.public, b"plain"),
        recipient_p256: ON_P256.public.public_bytes(),
    }
    return seeds_of(READERS, contents)
