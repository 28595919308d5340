"""Messages for recipients: a data key sealed to each by HPKE in front, and the body under it.

The header is that of :mod:`.addressed_layout`. The body's context has a hash of all of it, so that
without the data key no recipient is added, taken away or moved, and no name changed. The body
commits to its key: all recipients read the same plaintext. Who has the data key, each recipient
that is, can seal another message to whom he wants; base mode says nothing of the sender.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError
from mycelium_fractal_net.security.sealed.addressed_layout import MOST_RECIPIENTS, AddressedHeader
from mycelium_fractal_net.security.sealed.layout import KEY_BYTES
from mycelium_fractal_net.security.sealed.recipients import (
    Recipient,
    RecipientKey,
    open_as_recipient,
    seal_to_recipient,
)
from mycelium_fractal_net.security.sealed.sealer import Sealer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.security.byte_io.buffers import Octets

_KEY_INFO: Final = b"mycelium-fractal-net/addressed-key/v1"


def sealer_for(recipients: Iterable[Recipient], data_key: Octets, name: bytes = b"") -> Sealer:
    """Seals messages to all of these, under a data key of 32 bytes that is fresh.

    One that is named twice is sealed to once. Raises :class:`InvalidInputError` for none or more
    than 255, and where only some are hybrid: who has recorded the message would read it by the
    weakest of its keys.
    """
    different = tuple(dict.fromkeys(recipients))
    if not 0 < len(different) <= MOST_RECIPIENTS:
        raise InvalidInputError(f"a message has 1 to {MOST_RECIPIENTS} recipients")
    if len({each.quantum_safe for each in different}) > 1:
        raise InvalidInputError(
            "hybrid recipients and others are not mixed: a quantum computer would read the message"
            " by the others' keys; seal to each kind by itself"
        )
    blobs = [seal_to_recipient(each, data_key, info=_KEY_INFO) for each in different]
    return Sealer.addressed(data_key, AddressedHeader(tuple(blobs), name).raw)


def opener_by(keys: Iterable[RecipientKey], header: AddressedHeader) -> Sealer:
    """Opens the message with that header by the first of the keys that is one of its recipients'.

    Raises :class:`DecryptionError` where none is.
    """
    for key in keys:
        for blob in header.blobs:
            try:
                data_key = SecretBytes(open_as_recipient(key, blob, info=_KEY_INFO))
            except DecryptionError:
                continue
            if len(data_key) == KEY_BYTES:
                return Sealer.addressed(data_key, header.raw)
    raise DecryptionError
