"""The XOR cipher as a format that a keyring opens beside its own, and the key that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    DecryptionError,
    InvalidInputError,
    KeyNotFoundError,
)
from mycelium_fractal_net.security.keyring.opening import Result
from mycelium_fractal_net.security.records.keys import LEGACY_XOR_KEY_ID, version_id
from mycelium_fractal_net.security.records.open_options import PLAIN

if TYPE_CHECKING:
    from mycelium_fractal_net.legacy.cipher import XorOpener
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.keyring.opening import MessageKeys
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.records.open_options import OpenOptions

_VERSION: Final = version_id(LEGACY_XOR_KEY_ID, 1)


class XorFormat:
    """An :class:`~mycelium_fractal_net.security.keyring.opening.OldFormat`: the XOR cipher's."""

    def reads(self, message: Buffer, format: str) -> bool:
        """Whether it is one of the XOR cipher: said so, or without the sealed beginning."""
        return format == "xor" or (format == "sealed" and bytes(as_bytes(message)[:3]) != b"MFN")

    def open(
        self, keys: MessageKeys, message: str | Buffer, key_id: str | None, options: OpenOptions
    ) -> Result:
        """The data in ``message``.

        Costs some 23 ms of PBKDF2, each time. Raises :class:`DecryptionError`, also where the
        key of that cipher was not imported, and :class:`ConfigurationError` in FIPS mode.
        """
        if as_bytes(options.associated_data) or as_bytes(options.data_key_associated_data):
            raise InvalidInputError("a message of the XOR cipher has no associated data")
        try:
            key = keys.cache.record(LEGACY_XOR_KEY_ID)
        except KeyNotFoundError:
            raise DecryptionError from None
        if not key.is_legacy or key_id not in (None, LEGACY_XOR_KEY_ID, _VERSION):
            raise DecryptionError
        found = keys.opening(key.latest.handle, None, options)
        data = xor_opener(keys.policy, found.material).open(message)
        keys.cache.counts.opened(found)  # what did not open was perhaps never such a message
        return Result(data, found.version_id, legacy=True)


def open_xor(keyring: Keyring, message: str | Buffer, options: OpenOptions = PLAIN) -> Result:
    """The data in what the XOR cipher wrote, whatever ``legacy.read_xor`` says.

    Raises as :meth:`XorFormat.open` does.
    """
    return keyring.open_old(message, XorFormat(), options)


def xor_key(keyring: Keyring) -> str:
    """The version that opens what the XOR cipher wrote: ``legacy-xor:v1``.

    Raises :class:`KeyNotFoundError` where it was not imported.
    """
    try:
        key = keyring.provider.keys.get(LEGACY_XOR_KEY_ID)
    except KeyNotFoundError:
        key = None
    if key is None or not key.is_legacy:
        raise KeyNotFoundError(
            "the key of the XOR cipher is not here; take it over with mfn key import-xor FILE"
        )
    return version_id(key.key_id, key.latest.version)


def xor_opener(policy: Policy, key: Buffer) -> XorOpener:
    """Opens messages of the XOR cipher under its 32-byte master key; nothing writes them.

    Raises :class:`ConfigurationError` in FIPS mode, before any of it is loaded, and
    :class:`AlgorithmNotAllowedError` without what it is built on.
    """
    if policy.fips_mode:
        raise ConfigurationError(
            "the XOR cipher is never opened in FIPS mode (security.fips_mode): migrate where"
            " that is off, and switch legacy.read_xor off"
        )
    policy.check("PBKDF2-SHA256", "HMAC-SHA-256", "SHA-256")
    from mycelium_fractal_net.legacy.cipher import XorOpener

    return XorOpener(policy, key)


def refuse_fips(*, fips_mode: bool) -> None:
    """Raise :class:`ConfigurationError` where both that and ``legacy.read_xor`` are asked for."""
    if fips_mode:
        raise ConfigurationError(
            "legacy.read_xor: the XOR cipher is never opened in FIPS mode (security.fips_mode)"
        )
