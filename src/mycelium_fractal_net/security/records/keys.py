"""The records of a key: types, states, versions, and what each state permits. No I/O.

The states and their meaning follow NIST SP 800-57 part 1 revision 5, section 7. A key has
ordered versions; the *primary* version, the only one that protects new data, is the newest
one that has left ``pre-activation``. If that one is not ``active`` nothing is protected:
a key never falls back to an older version by itself.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    KeyNotFoundError,
    KeyStateError,
)

KEY_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
VERSION: Final = re.compile(r"v[1-9][0-9]{0,8}")
HANDLE_BYTES: Final = 8  # docs/format.md, "The key-version handle"
DESTRUCTION_WINDOW_DAYS: Final = 30  # as AWS KMS, whose least is 7 too


class KeyType(StrEnum):
    """What a key is for; it decides what the key may do."""

    ENCRYPTION = "encryption"
    SIGNING = "signing"
    MAC = "mac"
    INDEX = "index"
    DETERMINISTIC = "deterministic"
    API = "api"


SEALS: Final = (KeyType.ENCRYPTION, KeyType.DETERMINISTIC)
"""Whose messages name their key version: the first is nearly every message's."""


class KeyUse(StrEnum):
    """What a signing key signs: data or HTTP requests, never both."""

    DATA = "data"
    REQUEST = "request"


class KeyOrigin(StrEnum):
    """Where the material of a key version was made: here, or elsewhere and brought along."""

    GENERATED = "generated"
    IMPORTED = "imported"


class KeyState(StrEnum):
    """The state of one key version, SP 800-57 part 1 section 7."""

    PRE_ACTIVATION = "pre-activation"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEACTIVATED = "deactivated"
    COMPROMISED = "compromised"
    PENDING_DESTRUCTION = "pending-destruction"
    DESTROYED = "destroyed"


class Verb(StrEnum):
    """What an operator may do to a key version."""

    ACTIVATE = "activate"
    SUSPEND = "suspend"
    DEACTIVATE = "deactivate"
    COMPROMISE = "compromise"
    DESTROY = "destroy"
    CANCEL_DESTRUCTION = "cancel-destruction"


_S = KeyState
_TRANSITIONS: Final[dict[Verb, dict[KeyState, KeyState]]] = {
    Verb.ACTIVATE: {_S.PRE_ACTIVATION: _S.ACTIVE, _S.SUSPENDED: _S.ACTIVE},
    Verb.SUSPEND: {_S.ACTIVE: _S.SUSPENDED},
    Verb.DEACTIVATE: {_S.ACTIVE: _S.DEACTIVATED, _S.SUSPENDED: _S.DEACTIVATED},
    Verb.COMPROMISE: {
        _S.PRE_ACTIVATION: _S.COMPROMISED,
        _S.ACTIVE: _S.COMPROMISED,
        _S.SUSPENDED: _S.COMPROMISED,
        _S.DEACTIVATED: _S.COMPROMISED,
        # Compromise is remembered through destruction and does not stop it.
        _S.PENDING_DESTRUCTION: _S.PENDING_DESTRUCTION,
        _S.DESTROYED: _S.DESTROYED,
    },
    Verb.DESTROY: {
        _S.PRE_ACTIVATION: _S.PENDING_DESTRUCTION,
        _S.ACTIVE: _S.PENDING_DESTRUCTION,
        _S.SUSPENDED: _S.PENDING_DESTRUCTION,
        _S.DEACTIVATED: _S.PENDING_DESTRUCTION,
        _S.COMPROMISED: _S.PENDING_DESTRUCTION,
    },
    Verb.CANCEL_DESTRUCTION: {_S.PENDING_DESTRUCTION: _S.DEACTIVATED},
}

# What a key of a type may work with; the first is what it gets where none is named.
ALGORITHMS: Final[dict[KeyType, tuple[str, ...]]] = {
    KeyType.ENCRYPTION: ("AES-256-GCM",),
    KeyType.SIGNING: ("Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65"),
    KeyType.MAC: ("HMAC-SHA-256",),
    KeyType.INDEX: ("HMAC-SHA-256",),
    KeyType.DETERMINISTIC: ("AES-256-SIV",),
}

# The XOR cipher that this package replaces, and the one key of it. Nothing but an import makes
# such a key, and it only opens: it protects nothing, has no next version and never raw bytes.
LEGACY_XOR: Final = "LEGACY-XOR"
LEGACY_XOR_KEY_ID: Final = "legacy-xor"

# The key that serves where none is named; `mfn init` makes them.
DEFAULT_KEY_ID: Final[dict[KeyType, str]] = {
    KeyType.ENCRYPTION: "default-encryption",
    KeyType.SIGNING: "default-signing",
    KeyType.MAC: "default-mac",
}


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """How often a key is rotated and how many versions are kept. Days and counts.

    ``automatic`` has schedulers rotate it; without, it is rotated by hand alone.
    """

    interval_days: int
    retain_count: int
    auto_destroy: bool = False
    unused_for_days: int = 400
    automatic: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.interval_days <= 36_500:
            raise InvalidInputError("interval_days must be between 1 and 36500")
        if not 1 <= self.retain_count <= 10_000:
            raise InvalidInputError("retain_count must be between 1 and 10000")
        if not 400 <= self.unused_for_days <= 36_500:
            raise InvalidInputError("unused_for_days must be between 400 and 36500")


# What is found by equal tags or messages is found no more by those of the next version alone. So
# these are rotated by hand, by somebody who sweeps over what is stored, and keep every version.
NEVER_AUTOMATIC: Final = (KeyType.INDEX, KeyType.DETERMINISTIC)
_NEVER: Final = RotationPolicy(interval_days=36_500, retain_count=10_000, automatic=False)

DEFAULT_ROTATION: Final[dict[KeyType, RotationPolicy]] = {
    KeyType.ENCRYPTION: RotationPolicy(interval_days=90, retain_count=3),
    KeyType.SIGNING: RotationPolicy(interval_days=365, retain_count=2),
    KeyType.MAC: RotationPolicy(interval_days=90, retain_count=3),
    **dict.fromkeys(NEVER_AUTOMATIC, _NEVER),
    KeyType.API: RotationPolicy(interval_days=90, retain_count=2),
}


def version_id(key_id: str, version: int) -> str:
    """``orders`` and 3 as ``orders:v3``."""
    return f"{key_id}:v{version}"


def parse_key_id(text: str) -> tuple[str, int | None]:
    """A key id or version id as its name and its version, which is None for a bare name.

    Raises :class:`InvalidInputError` for anything else. The text is not quoted.
    """
    name, colon, rest = text.partition(":")
    if KEY_NAME.fullmatch(name) is not None:
        if not colon:
            return name, None
        if VERSION.fullmatch(rest) is not None:
            return name, int(rest[1:])
    raise InvalidInputError(
        "a key id is 1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit;"
        " a version id adds ':v' and a number"
    )


class MinimumVersions(NamedTuple):
    """The oldest versions that are there, decrypt, and protect; and the newest. They never cross:
    ``available <= decrypt <= encrypt <= latest``."""

    available: int
    decrypt: int
    encrypt: int
    latest: int


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One version of a key, as the store holds it.

    ``wrapped`` is the key material under the master key and empty once destroyed;
    ``public_key`` is the DER SubjectPublicKeyInfo of a signing key, kept for ever.
    ``rewrapped_at`` is when somebody recorded that no data is under it any more. Times are UTC.

    Of an *external* version the private key is with the custodian, and nothing is wrapped:
    ``external`` names it, ``SCHEME:REFERENCE``, and ``external_gone_at`` is when it was destroyed
    there, after the version was, or when somebody said that nobody can any more.
    """

    version: int
    handle: bytes
    state: KeyState
    created_at: datetime
    wrapped: bytes = field(repr=False)
    public_key: bytes | None = field(default=None, repr=False)
    compromised: bool = False
    activate_at: datetime | None = None
    destroy_at: datetime | None = None
    rewrapped_at: datetime | None = None
    origin: KeyOrigin = KeyOrigin.GENERATED
    external: str | None = None
    external_gone_at: datetime | None = None

    @property
    def has_key(self) -> bool:
        """Whether there is a key: wrapped in the store, or with the custodian."""
        return bool(self.wrapped) or (self.external is not None and self.external_gone_at is None)

    @property
    def lingers(self) -> bool:
        """Whether it is destroyed, and its key with the custodian not yet."""
        return self.state is KeyState.DESTROYED and self.has_key

    def state_after(self, verb: Verb) -> KeyState:
        """The state that ``verb`` leads to. Raises :class:`KeyStateError` if it is not legal."""
        try:
            after = _TRANSITIONS[verb][self.state]
        except KeyError:
            raise KeyStateError(
                f"cannot {verb} version {self.version}: it is {self.state}"
            ) from None
        if verb is Verb.CANCEL_DESTRUCTION and self.compromised:
            return KeyState.COMPROMISED
        return after


@dataclass(frozen=True, slots=True)
class Key:
    """A named key with its versions, oldest first. One authenticated record of the store.

    ``exportable`` is fixed when it is made: whether its versions may be wrapped for others.
    """

    key_id: str
    key_type: KeyType
    use: KeyUse
    algorithm: str
    rotation: RotationPolicy
    created_at: datetime
    versions: tuple[KeyVersion, ...]
    publish: bool = False
    rotate_at: datetime | None = None
    exportable: bool = False
    revision: int = 0
    master_id: str = ""

    @property
    def rotation_due(self) -> datetime:
        """When its policy asks for the next version."""
        if self.rotate_at is not None:
            return self.rotate_at
        return self.latest.created_at + timedelta(days=self.rotation.interval_days)

    @property
    def minimum_versions(self) -> MinimumVersions:
        """From which version on it is there, decrypts or verifies, and protects."""
        states = {each.version: each.state for each in self.versions}
        latest = self.latest.version
        primary = self.primary_or_none
        encrypt = latest if primary is None else primary.version  # else the next version will
        serve = [n for n in states if n <= encrypt and states[n] in (_S.ACTIVE, _S.DEACTIVATED)]
        decrypt = min(serve, default=encrypt)
        there = [n for n in states if n <= decrypt and states[n] is not _S.DESTROYED]
        return MinimumVersions(min(there, default=decrypt), decrypt, encrypt, latest)

    @property
    def is_legacy(self) -> bool:
        """Whether it is the key of the XOR cipher, which only opens old messages."""
        return self.algorithm == LEGACY_XOR

    @property
    def is_external(self) -> bool:
        """Whether its private keys never leave the custodian, where the next one is made too."""
        return self.latest.external is not None

    @property
    def latest(self) -> KeyVersion:
        """The version with the highest number, whatever its state."""
        return self.versions[-1]

    def version(self, number: int) -> KeyVersion:
        """The version of that number. Raises :class:`KeyNotFoundError`."""
        for candidate in reversed(self.versions):
            if candidate.version == number:
                return candidate
        raise KeyNotFoundError(f"key {self.key_id!r} has no version {number}")

    def check_has(self, number: int | None) -> Key:
        """The key itself, which has the version that was named, where one was.

        Raises :class:`KeyNotFoundError`.
        """
        if number is not None:
            self.version(number)
        return self

    def has_handle(self, handle: bytes) -> bool:
        """Whether one of the versions has that handle."""
        return any(each.handle == handle for each in self.versions)

    def by_handle(self, handle: bytes) -> KeyVersion:
        """The version with that handle. Raises :class:`KeyNotFoundError`."""
        for candidate in self.versions:
            if candidate.handle == handle:
                return candidate
        raise KeyNotFoundError(f"key {self.key_id!r} has no such version")

    @property
    def primary_or_none(self) -> KeyVersion | None:
        """:attr:`primary`, or None where the key is out of use."""
        with suppress(KeyStateError):
            return self.primary
        return None

    @property
    def primary(self) -> KeyVersion:
        """The version that protects new data: the newest that has left pre-activation.

        Raises :class:`KeyStateError` where that version is not active.
        """
        if self.is_legacy:
            raise KeyStateError(
                f"key {self.key_id!r} protects nothing: it only opens what the XOR cipher wrote"
            )
        for candidate in reversed(self.versions):
            if candidate.state is KeyState.PRE_ACTIVATION:
                continue
            if candidate.state is KeyState.ACTIVE:
                return candidate
            raise KeyStateError(
                f"key {self.key_id!r} protects nothing: its newest version"
                f" {candidate.version} is {candidate.state}{self._way_out(candidate)}"
            )
        raise KeyStateError(
            f"key {self.key_id!r} protects nothing: it is not yet active{self._wait()}"
        )

    def _way_out(self, newest: KeyVersion) -> str:
        """What lets a key protect again whose ``newest`` version is out of use."""
        if newest is not self.latest:
            return self._wait()
        rotate = f"; for another one: mfn key rotate {self.key_id}"
        if newest.state is KeyState.SUSPENDED:
            named = version_id(self.key_id, newest.version)
            return f"{rotate}, or to use it again: mfn key activate {named}"
        return rotate

    def _wait(self) -> str:
        """What the newest version, not yet active, waits for: its day, a sweep, or a backup."""
        version = self.latest
        if version.activate_at is not None:
            return f"; version {version.version} is activated on {version.activate_at:%Y-%m-%d}"
        if self.waits_for_sweep(version):
            named = version_id(self.key_id, version.version)
            return f"; version {version.version} is searched only, until: mfn key activate {named}"
        return f"; version {version.version} waits for a backup that holds it: mfn backup FILE"

    def is_to_activate(self, version: KeyVersion, now: datetime) -> bool:
        """Whether a version is to be active by ``now``, or as soon as a backup holds it.

        One without a day that an index key was rotated to waits for somebody's word.
        """
        if version.state is not KeyState.PRE_ACTIVATION:
            return False
        if version.activate_at is None:
            return not self.waits_for_sweep(version)
        return version.activate_at <= now

    def waits_for_sweep(self, version: KeyVersion) -> bool:
        """Whether it is searched and not stored yet, until somebody says that all is swept."""
        return (
            self.key_type is KeyType.INDEX
            and version.version > 1
            and version.state is KeyState.PRE_ACTIVATION
            and version.activate_at is None
        )

    def check_decrypt(self, version: KeyVersion, *, allow_compromised: bool = False) -> None:
        """Raise :class:`KeyStateError` unless ``version`` may decrypt and be rewrapped from."""
        state = version.state
        if state in (KeyState.ACTIVE, KeyState.DEACTIVATED):
            return
        if state is KeyState.COMPROMISED and allow_compromised:
            return
        named = version_id(self.key_id, version.version)
        hint = {
            KeyState.PENDING_DESTRUCTION: f"; to keep it: mfn key cancel-destruction {named}",
            KeyState.COMPROMISED: "; to decrypt with it all the same, as a rewrap must, allow it:"
            " --allow-compromised, in the library and over HTTP allow_compromised",
            KeyState.SUSPENDED: f"; to use it again: mfn key activate {named}",
        }.get(state, "")
        raise KeyStateError(
            f"version {version.version} of key {self.key_id!r} may not decrypt: it is {state}{hint}"
        )

    def check_find(self, version: KeyVersion, *, allow_compromised: bool = False) -> None:
        """Raise :class:`KeyStateError` unless what ``version`` made may be searched for.

        One that is not yet active is: its tags are written, and found, before it is in use.
        """
        state = version.state
        if state is KeyState.SUSPENDED or (version.compromised and not allow_compromised):
            named = version_id(self.key_id, version.version)
            hint = (
                f"; to use it again: mfn key activate {named}"
                if state is KeyState.SUSPENDED
                else "; to search with it all the same, as a sweep must: allow_compromised"
            )
            raise KeyStateError(
                f"version {version.version} of key {self.key_id!r} may not search, and what is"
                f" stored under it would be missed: it is"
                f" {'compromised' if version.compromised else state}{hint}"
            )

    def check_verify(self, version: KeyVersion, *, allow_compromised: bool = False) -> None:
        """Raise :class:`KeyStateError` unless signatures of ``version`` may be verified."""
        state = version.state
        refused = state in (KeyState.PRE_ACTIVATION, KeyState.SUSPENDED)
        if version.compromised and not allow_compromised:
            refused = True
        if refused:
            again = (
                f"; to use it again: mfn key activate {version_id(self.key_id, version.version)}"
            )
            raise KeyStateError(
                f"version {version.version} of key {self.key_id!r} may not verify:"
                f" it is {'compromised' if version.compromised else state}"
                f"{again if state is KeyState.SUSPENDED else ''}"
            )
