"""Which key version seals or opens a message, and what else than a sealed one can be opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from mycelium_fractal_net.security.errors import DecryptionError, KeyNotFoundError
from mycelium_fractal_net.security.records.file_names import check_name
from mycelium_fractal_net.security.records.keys import (
    DEFAULT_KEY_ID,
    KeyState,
    KeyType,
    parse_key_id,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.keyring.cache import KeyCache
    from mycelium_fractal_net.security.keyring.key_in_use import KeyInUse
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.records.open_options import OpenOptions
    from mycelium_fractal_net.security.sealed.layout import Header
    from mycelium_fractal_net.security.sealed.sealer import Sealer

_ENCRYPTION: Final = KeyType.ENCRYPTION


class Result(NamedTuple):
    """What was made or opened, and the version that did it, such as ``orders:v3``."""

    data: bytes
    key_id: str
    legacy: bool = False  # it was a message of another format than ours


class OldFormat(Protocol):
    """Messages of a system that came before, which a keyring opens and never makes."""

    def reads(self, message: Buffer, format: str) -> bool:
        """Whether ``message``, of which its caller says ``format``, is one of these."""
        ...

    def open(
        self, keys: MessageKeys, message: str | Buffer, key_id: str | None, options: OpenOptions
    ) -> Result:
        """The data in ``message``. Raises :class:`DecryptionError`, whatever is wrong with it."""
        ...


class MessageKeys:
    """The key versions that seal and open, found in a cache."""

    def __init__(self, cache: KeyCache, policy: Policy) -> None:
        self.cache = cache
        self.policy = policy

    def sealing(self, key_id: str | None) -> KeyInUse:
        """The newest version of that key, or of the default one; counts one use of it."""
        return self.cache.protecting(key_id or DEFAULT_KEY_ID[_ENCRYPTION], _ENCRYPTION)

    def opening(
        self,
        handle: bytes,
        key_id: str | None,
        options: OpenOptions,
        key_type: KeyType = _ENCRYPTION,
    ) -> KeyInUse:
        """The version that a message names, if it may open it.

        Raises :class:`DecryptionError` for what the message decides, :class:`KeyStateError`. One
        that is out of reach takes as long as one that is not there.
        """
        try:
            found = self.cache.opening(handle, options.permit)
        except KeyNotFoundError:
            raise DecryptionError from None
        if found.key.key_type is not key_type:
            raise DecryptionError
        if key_id is not None:
            name, number = parse_key_id(key_id)
            if name != found.key.key_id or number not in (None, found.version.version):
                raise DecryptionError
        if found.version.state is not KeyState.ACTIVE:
            self.cache.counts.pending(found)
            found.key.check_decrypt(found.version, allow_compromised=options.allow_compromised)
        return found

    def opener(
        self, header: Header, key_id: str | None, options: OpenOptions, *, moves: bool = False
    ) -> tuple[KeyInUse, Sealer]:
        """The version that a message names, and what opens the message; counts one use of it.

        The name of a file that is bound into it is compared, unless it ``moves`` and keeps that.
        """
        found = self.opening(header.handle, key_id, options)
        if not moves:
            check_name(header.name, options.name)
        sealer = found.sealer_of(header.name)
        if header.wrapped:
            data_key = sealer.unwrap_data_key(header.wrapped, options.data_key_associated_data)
            sealer = self.policy.envelope_sealer(data_key, header.handle, header.wrapped)
        self.cache.counts.opened(found)
        return found, sealer
