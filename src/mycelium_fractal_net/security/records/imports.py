"""A key that is about to be brought along: what it is to be, and for whom it is to be wrapped."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.byte_io.pem import PUBLIC_KEY, pem_encode

if TYPE_CHECKING:
    from datetime import datetime

    from mycelium_fractal_net.security.records.keys import KeyType, KeyUse

IMPORT_ID: Final = re.compile(r"[0-9a-f]{32}")
WRAP_METHODS: Final = ("rsa-aes", "hpke", "hpke-p256", "hpke-p384")
IMPORT_WINDOW: Final = timedelta(hours=1)


class ImportState(StrEnum):
    """How far an import is: it waits for its key, or is over and not yet deleted."""

    WAITING = "waiting"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class PendingImport:
    """One import under way, as the store holds it. One authenticated record of the store.

    ``existing`` says that the key is there, and gets a new version. ``public_key`` is the DER
    SubjectPublicKeyInfo of the one-time key to wrap for, by ``method``; ``wrapped`` is the private
    half of it under the master key. Times are UTC, by the store's clock.
    """

    import_id: str
    key_id: str
    existing: bool
    key_type: KeyType
    use: KeyUse
    algorithm: str
    publish: bool
    exportable: bool
    method: str
    created_at: datetime
    expires_at: datetime
    public_key: bytes = field(repr=False)
    wrapped: bytes = field(repr=False, default=b"")
    revision: int = 0
    master_id: str = ""

    def state(self, now: datetime) -> ImportState:
        """What it is at that time, by the store's clock."""
        return ImportState.EXPIRED if self.expires_at <= now else ImportState.WAITING

    def pem(self) -> str:
        """The public key as a PEM block ``PUBLIC KEY``, LF line ends."""
        return pem_encode(PUBLIC_KEY, self.public_key).decode("ascii")
