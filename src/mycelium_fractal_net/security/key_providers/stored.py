"""The provider behind every custodian: a key store whose keys one master key wraps.

Whoever holds the master key, every provider therefore has the same versions, states,
rotation and verbs. What differs is in the :class:`Custodian`.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import (
    ConflictError,
    InvalidInputError,
    KeyExistsError,
    KeyNotExportableError,
    KeyNotFoundError,
    KeyUsageError,
)
from mycelium_fractal_net.security.key_providers.base import KeyProvider
from mycelium_fractal_net.security.key_providers.credential_management import CredentialManagement
from mycelium_fractal_net.security.key_providers.restored import RestoredStore
from mycelium_fractal_net.security.key_providers.retirement import Retirement
from mycelium_fractal_net.security.key_providers.signer_management import SignerManagement
from mycelium_fractal_net.security.records.keys import (
    ALGORITHMS,
    DEFAULT_ROTATION,
    HANDLE_BYTES,
    LEGACY_XOR,
    LEGACY_XOR_KEY_ID,
    Key,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    RotationPolicy,
    parse_key_id,
    version_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

__all__ = ["StoredKeyProvider"]

_ATTEMPTS: Final = 8  # rounds before a writer gives up
_LONGEST_WAIT: Final = timedelta(days=36_500)


class StoredKeyProvider(
    Retirement, CredentialManagement, SignerManagement, RestoredStore, KeyProvider
):
    """Named keys in a :class:`KeyStore` under a :class:`Custodian`: made, rotated, changed.

    ``default_rotation`` is the policy of a key that is made without one.
    """

    default_rotation: Mapping[KeyType, RotationPolicy] = DEFAULT_ROTATION

    # The plan's interface -----------------------------------------------------------------

    def get_key(self, key_id: str) -> bytes:
        """The key's bytes: of the version that protects new data, or of the version named.

        Raises :class:`KeyNotFoundError`, :class:`KeyStateError`, and
        :class:`KeyNotExportableError` for a credential and for the key of the XOR cipher.
        """
        name, number = parse_key_id(key_id)
        try:
            key = self.key(name)
        except KeyNotFoundError:
            self._refuse_credential(name)
            raise
        version = key.primary if number is None else key.version(number)
        if number is not None:
            self._refuse_pending(key, version)
            key.check_decrypt(version)
        if key.is_legacy:
            raise KeyNotExportableError("the key of the XOR cipher only opens messages here")
        material = self.unwrap(key, version)
        if self.audit is not None:
            self.audit.now("key.export", key=version_id(name, version.version))
        return material

    def _refuse_credential(self, name: str) -> None:
        with contextlib.suppress(KeyNotFoundError):
            self.credential(name)
            raise KeyNotExportableError(
                "a credential is stored as a digest; there is no key to get"
            )

    def generate_key(self, key_type: str) -> str:
        """A new key of that type under a random name, such as ``encryption-5f3a…``; returns it."""
        kind = _key_type(key_type)
        return self.create_key(f"{kind.value}-{secrets.token_hex(8)}", kind).key_id

    def rotate_key(self, key_id: str, *, activate_at: datetime | None = None) -> str:
        """Add a version, which protects from now on; returns its id, such as ``orders:v3``.

        Where the provider is to ``require_backup`` it protects once a backup holds it.
        Compare-and-swap: of several that rotate at once each adds a version of its own, and
        a crash leaves the old one or the new one newest. The former versions go on opening.
        With ``activate_at`` the version waits: it is there, and protects once a scheduler, or
        the verb activate, has made it active.
        """
        name, number = parse_key_id(key_id)
        if number is not None:
            raise InvalidInputError("a key is rotated by its name, without a version")
        if activate_at is not None:
            ahead = activate_at - self.clock()
            if not timedelta(0) < ahead <= _LONGEST_WAIT:
                raise InvalidInputError(
                    "a version is activated at once, or at a time within the next 36500 days"
                )

        def change(key: Key) -> Key:
            return self._with_new_version(key, activate_at)

        return version_id(name, self.update(name, change, "key.rotate").latest.version)

    def rotate_from(self, version: str, *, reason: str | None = None) -> str:
        """Rotate only if ``version`` (``orders:v3``) is still the newest; returns the newest.

        Whoever loses the race sees the winner's version. ``reason`` goes to the audit log.
        """
        name, number = parse_key_id(version)
        newest = self.rotate_if(
            name, lambda key: self.clock() if key.latest.version == number else None, reason=reason
        )
        return newest or version_id(name, self.key(name).latest.version)

    def rotate_if(
        self,
        key_id: str,
        wanted: Callable[[Key], datetime | None],
        *,
        reason: str | None = None,
    ) -> str | None:
        """Rotate a key where ``wanted`` gives, for the record that is swapped, the present time.

        Returns the new version's id, or None where it gave none. So of any number of schedulers
        that saw the same record one rotates. The next rotation counts from that time, which is
        read after the record: it is never earlier than what the record was written at. ``reason``
        goes to the audit log.
        """
        rotated = False

        def change(key: Key) -> Key:
            nonlocal rotated
            now = wanted(key)
            rotated = now is not None
            return self._with_new_version(key, now=now) if rotated else key

        name = parse_key_id(key_id)[0]
        newest = self.update(name, change, "key.rotate", reason=reason).latest
        return version_id(name, newest.version) if rotated else None

    # Changing -----------------------------------------------------------------------------

    def create_key(
        self,
        key_id: str,
        key_type: str = KeyType.ENCRYPTION,
        *,
        algorithm: str | None = None,
        use: str = KeyUse.DATA,
        publish: bool = False,
        rotation: RotationPolicy | None = None,
    ) -> Key:
        """Make a named key with its first version, active at once or once a backup holds it.

        ``use`` is for signing keys: ``data`` or ``request``, fixed for ever. ``publish`` lists
        its public keys in the JWKS. Raises :class:`KeyExistsError` where the name is taken,
        :class:`AlgorithmNotAllowedError`, and :class:`InvalidInputError` for what does not fit.
        """
        name, number = parse_key_id(key_id)
        if number is not None:
            raise InvalidInputError("a key is made by its name, without a version")
        kind = _key_type(key_type)
        key_use = _key_use(use)
        if name == LEGACY_XOR_KEY_ID or algorithm == LEGACY_XOR:
            raise InvalidInputError(
                "the key of the XOR cipher is not made, it is imported: mfn key import-xor FILE"
            )
        chosen = algorithm or ALGORITHMS[kind][0]
        if chosen not in ALGORITHMS[kind]:
            raise InvalidInputError(
                f"a key of type {kind} takes one of: {', '.join(ALGORITHMS[kind])}"
            )
        if kind is not KeyType.SIGNING and (key_use is not KeyUse.DATA or publish):
            raise InvalidInputError("only a signing key can be for requests, or published")
        empty = Key(
            key_id=name,
            key_type=kind,
            use=key_use,
            algorithm=chosen,
            rotation=rotation or self.default_rotation[kind],
            created_at=self.clock(),
            versions=(),
            publish=publish,
            master_id=self.store.require_pulse().master_id,
        )
        for _ in range(_ATTEMPTS):
            key = self._with_new_version(empty)
            try:
                return self.insert(key)
            except ConflictError:
                if self.store.has(name):
                    raise KeyExistsError(f"a key named {name!r} is there already") from None
                empty = replace(empty, master_id=self.store.require_pulse().master_id)
        raise ConflictError("the store is being changed by many at once; try again")

    def adopt(self, key: Key, version: KeyVersion, material: bytes) -> Key:
        """Store a key whose one version was made elsewhere, from ``material``, and wrap it here.

        Raises :class:`ConflictError` where its name is taken, or the master key moves meanwhile.
        """
        key = replace(key, master_id=self.store.require_pulse().master_id)
        wrapped = self.custodian.wrap(key.master_id, material, self._binding(key, version))
        return self.insert(replace(key, versions=(replace(version, wrapped=wrapped),)))

    def set_rotation(self, key_id: str, rotation: RotationPolicy) -> Key:
        """Change how often the key is rotated and how many versions are kept.

        Another interval counts from the newest version on.
        """

        def change(key: Key) -> Key:
            if key.rotation == rotation:
                return key
            if key.is_legacy and rotation.automatic:
                raise _no_next_version(key)
            same = key.rotation.interval_days == rotation.interval_days
            return replace(key, rotation=rotation, rotate_at=key.rotate_at if same else None)

        return self.update(parse_key_id(key_id)[0], change, "key.policy")

    def reschedule(
        self,
        key_id: str,
        moment: Callable[[Key], datetime | None],
        *,
        reason: str | None = None,
    ) -> Key:
        """Have the key's next version due at what ``moment`` gives for the record that is swapped.

        Whatever its interval says; None leaves it as it is.
        """

        def change(key: Key) -> Key:
            due = moment(key)
            return key if due is None else replace(key, rotate_at=due)

        return self.update(parse_key_id(key_id)[0], change, "key.policy", reason=reason)

    def set_publish(self, key_id: str, publish: bool) -> Key:
        """List a signing key's public keys in the JWKS, or stop."""

        def change(key: Key) -> Key:
            if key.key_type is not KeyType.SIGNING:
                raise KeyUsageError("only a signing key has a public key to publish")
            return replace(key, publish=publish)

        return self.update(parse_key_id(key_id)[0], change, "key.publish")

    # Beneath ------------------------------------------------------------------------------

    def _with_new_version(
        self, key: Key, activate_at: datetime | None = None, *, now: datetime | None = None
    ) -> Key:
        """``key`` with one more version, fresh and active, or waiting. Nothing is stored yet."""
        if key.is_legacy:
            raise _no_next_version(key)
        self.policy.check(key.algorithm)
        public_key: bytes | None = None
        if key.key_type is KeyType.SIGNING:
            signing = self.policy.generate_signing_key(key.algorithm)
            material, public_key = signing.private_bytes(), signing.public.der()
        else:
            material = self.policy.generate_key_material(key.algorithm)
        now = now or self.clock()
        waits = self.require_backup or activate_at is not None
        version = KeyVersion(
            version=key.versions[-1].version + 1 if key.versions else 1,
            handle=secrets.token_bytes(HANDLE_BYTES),
            state=KeyState.PRE_ACTIVATION if waits else KeyState.ACTIVE,
            created_at=now,
            wrapped=b"",
            public_key=public_key,
            activate_at=activate_at,
        )
        wrapped = self.custodian.wrap(key.master_id, material, self._binding(key, version))
        return replace(
            key,
            versions=(*key.versions, replace(version, wrapped=wrapped)),
            rotate_at=max(now, activate_at or now) + timedelta(days=key.rotation.interval_days),
        )


def _no_next_version(key: Key) -> KeyUsageError:
    return KeyUsageError(
        f"key {key.key_id!r} only opens what the XOR cipher wrote: it has no next version"
    )


def _key_type(text: str) -> KeyType:
    try:
        kind = KeyType(text)
    except ValueError:
        raise InvalidInputError("a key type is encryption, signing or mac") from None
    if kind is KeyType.API:
        raise KeyUsageError(
            "a credential is made where its secret can be shown once, not as a named key"
        )
    return kind


def _key_use(text: str) -> KeyUse:
    try:
        return KeyUse(text)
    except ValueError:
        raise InvalidInputError("a use is data or request") from None
