"""Keys taken along: wrapped for somebody's public key, where they were made to be exportable."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from mycelium_fractal_net.security.audit.events import INTENT, OK
from mycelium_fractal_net.security.errors import InvalidInputError, MfnError, kind_of
from mycelium_fractal_net.security.key_providers.journal import EXPORT
from mycelium_fractal_net.security.records.keys import KeyType, version_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers.keys import Keys
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.records.keys import Key, KeyVersion


class ExportedKey(NamedTuple):
    """One version of a key, ``wrapped`` by ``method`` for the holder of a public key.

    What was wrapped is 32 bytes, or of a signing key its DER PKCS #8.
    """

    key_id: str
    key_type: KeyType
    algorithm: str
    method: str
    wrapped: bytes


class Exports:
    """Wraps keys for others. ``choose`` finds the version that a name means, if it may leave."""

    def __init__(
        self, keys: Keys, policy: Policy, choose: Callable[[str], tuple[Key, KeyVersion]]
    ) -> None:
        self._keys = keys
        self._policy = policy
        self._choose = choose

    def wrap_for(self, public_key: bytes, key_id: str, method: str | None = None) -> ExportedKey:
        """Wrap a version for the holder of a public key: PEM or DER, of RSA, X25519, P-256
        or P-384.

        Of a bare name the version that protects new data. The method follows from the public key;
        one that is named must be that. That it is to leave is in the audit log, durably, before
        the key is even unwrapped, and that it did before this returns.
        Raises :class:`KeyNotExportableError` for a key that was not made exportable, a credential
        and the key of the XOR cipher, :class:`KeyStateError`, and :class:`InvalidKeyError` for a
        public key that is none to wrap for.
        """
        key, version = self._choose(key_id)
        recipient = self._policy.wrapping_key(public_key)
        if method not in (None, recipient.method):
            raise InvalidInputError(f"for that public key a key is wrapped by {recipient.method}")
        named = version_id(key.key_id, version.version)
        log = self._keys.journal.log
        intent = None if log is None else log.now(EXPORT, INTENT, key=named)
        try:
            material = self._keys.unwrap(key, version)
            wrapped = recipient.wrap(self._policy.material_to_transport(key.algorithm, material))
        except BaseException as error:
            if log is not None:
                with suppress(MfnError):
                    log.now(EXPORT, kind_of(error).slug, key=named, intent=intent)
            raise
        if log is not None:
            log.now(EXPORT, OK, key=named, intent=intent)
        return ExportedKey(named, key.key_type, key.algorithm, recipient.method, wrapped)
