"""Keys: made, rotated, configured, and unwrapped."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import (
    ConflictError,
    InvalidInputError,
    KeyExistsError,
    KeyNotExportableError,
    KeyStateError,
    KeyUsageError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers.authenticated_table import AuthenticatedTable
from mycelium_fractal_net.security.key_providers.external import ExternalKeys
from mycelium_fractal_net.security.records.credentials import keys_named
from mycelium_fractal_net.security.records.keys import (
    ALGORITHMS,
    DEFAULT_ROTATION,
    HANDLE_BYTES,
    LEGACY_XOR,
    LEGACY_XOR_KEY_ID,
    NEVER_AUTOMATIC,
    Key,
    KeyOrigin,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    RotationPolicy,
    parse_key_id,
    version_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
    from mycelium_fractal_net.security.key_providers.custodian import Binding
    from mycelium_fractal_net.security.key_providers.journal import Journal
    from mycelium_fractal_net.security.key_providers.record_macs import RecordMacs
    from mycelium_fractal_net.security.key_store.key_table import KeyTable
    from mycelium_fractal_net.security.key_store.record_table import Also

_LONGEST_WAIT: Final = timedelta(days=36_500)
_BY_HAND: Final = "a key of type {} is rotated by hand alone: what is stored must be swept first"


class Keys(AuthenticatedTable[Key]):
    """The named keys of a store, each one record with all its versions.

    ``default_rotation`` is the policy of a key that is made without one. With ``require_backup``
    a new version protects data only once a backup holds it. Both are set by whoever puts a
    keyring together.
    """

    def __init__(
        self,
        table: KeyTable,
        record_macs: RecordMacs,
        journal: Journal,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(table, record_macs, journal, clock)
        self._table = table
        self._wrapping = record_macs.wrapping
        self.external = ExternalKeys(record_macs.wrapping, record_macs.policy)
        self.default_rotation: Mapping[KeyType, RotationPolicy] = DEFAULT_ROTATION
        self.require_backup = False

    # Reading ------------------------------------------------------------------------------

    def get(self, record_id: str) -> Key:
        """The key of that name; a version id names its key, which must have that version.

        Raises :class:`KeyNotFoundError`.
        """
        name, number = parse_key_id(record_id)
        return super().get(name).check_has(number)

    def warnings_of(self, scopes: Iterable[str]) -> list[str]:
        """Of scopes that permit nothing, since no key has the name in them: one sentence each."""
        absent = (name for name in keys_named(scopes) if not self.table.has(name))
        return [
            f"no key is named {name!r}: until one is, the scopes for it permit nothing"
            for name in absent
        ]

    def by_handle(self, handle: bytes) -> Key:
        """The key one of whose versions has that handle. Raises :class:`KeyNotFoundError`."""
        key = self.checked(self._table.load_by_handle(handle))
        key.by_handle(handle)
        return key

    def named(self, handles: Sequence[bytes]) -> dict[bytes, tuple[str, str]]:
        """The name and the type of the key of each handle, for those that are there.

        Nothing else is read and nothing is authenticated: :meth:`by_handle` does that.
        """
        return self._table.of_handles(handles)

    def by_names(self, names: Iterable[str]) -> dict[str, Key]:
        """The keys of these names, those that are there and not refused, read together."""
        found = self.some(sorted(names))
        return {name: key for name, key in found if isinstance(key, Key)}

    def published(self) -> list[Key]:
        """Every key that is marked to be published, in order of name."""
        return [self.checked(stored) for stored in self._table.published()]

    def external_keys(self) -> Iterator[Key]:
        """Every key with a version whose private key is with a custodian, in order of name.

        Those whose records are refused are left out.
        """
        for _, stored in self._table.external():
            found = self._found(stored)
            if not isinstance(found, StoreIntegrityError):
                yield found

    def unwrap(self, key: Key, version: KeyVersion) -> SecretBytes:
        """The material of one version. The caller has checked what its state permits."""
        return self._wrapping.unwrap(*self._wrapped(key, version))

    def unwrap_in_use(self, key: Key, version: KeyVersion) -> SecretBytes:
        """The same of a key that carries traffic; see :meth:`.Wrapping.unwrap_in_use`."""
        return self._wrapping.unwrap_in_use(*self._wrapped(key, version))

    def _wrapped(self, key: Key, version: KeyVersion) -> tuple[str, bytes, Binding]:
        if version.external is not None:
            raise KeyNotExportableError(
                f"the private key of {key.key_id!r} never leaves its custodian"
            )
        if not version.wrapped:
            raise KeyStateError(
                f"version {version.version} of key {key.key_id!r} is destroyed: no material is left"
            )
        return key.master_id, version.wrapped, self._wrapping.binding_of_version(key, version)

    # Making -------------------------------------------------------------------------------

    def create(
        self,
        key_id: str,
        key_type: str = KeyType.ENCRYPTION,
        *,
        algorithm: str | None = None,
        use: str = KeyUse.DATA,
        publish: bool = False,
        exportable: bool = False,
        rotation: RotationPolicy | None = None,
        external: bool = False,
    ) -> Key:
        """Make a named key with its first version, active at once or once a backup holds it.

        ``use`` is for signing keys: ``data`` or ``request``; ``exportable`` lets :class:`.Exports`
        wrap it for others; both are fixed for ever. ``publish`` lists its public keys in the JWKS.
        The private keys of an ``external`` signing key are made by the custodian and never leave
        it. Raises :class:`KeyExistsError` where the name is taken,
        :class:`AlgorithmNotAllowedError`, and :class:`InvalidInputError` for what does not fit.
        """
        if external:
            if key_type != KeyType.SIGNING or exportable:
                raise InvalidInputError(
                    "only a signing key can be external, and such a one is never exportable"
                )
            algorithm = self.external.algorithm(algorithm)
        planned = self.planned(
            key_id,
            key_type,
            algorithm=algorithm,
            use=use,
            publish=publish,
            exportable=exportable,
            rotation=rotation,
        )
        if external and self.table.has(planned.key_id):  # else there is a key that nobody names
            raise KeyExistsError(self.kind.taken.format(planned.key_id))
        return self.begin(planned, NewVersion(self, external=external), "key.create")

    def planned(
        self,
        key_id: str,
        key_type: str = KeyType.ENCRYPTION,
        *,
        algorithm: str | None = None,
        use: str = KeyUse.DATA,
        publish: bool = False,
        exportable: bool = False,
        rotation: RotationPolicy | None = None,
    ) -> Key:
        """The key that :meth:`create` would make, without a version. Nothing is stored.

        Raises :class:`InvalidInputError` for what does not fit.
        """
        name = _name(key_id, "a key is made by its name, without a version")
        kind = key_type_of(key_type)
        key_use = _key_use(use)
        if name == LEGACY_XOR_KEY_ID or algorithm == LEGACY_XOR:
            raise InvalidInputError(
                "the key of the XOR cipher is not made, it is imported: mfn key import-xor FILE"
            )
        chosen = algorithm or self.default_algorithm(kind)
        if chosen not in ALGORITHMS[kind]:
            raise InvalidInputError(
                f"a key of type {kind} takes one of: {', '.join(ALGORITHMS[kind])}"
            )
        if kind is not KeyType.SIGNING and (key_use is not KeyUse.DATA or publish):
            raise InvalidInputError("only a signing key can be for requests, or published")
        policy = rotation or self.default_rotation[kind]
        if policy.automatic and kind in NEVER_AUTOMATIC:
            raise InvalidInputError(_BY_HAND.format(kind))
        return Key(
            key_id=name,
            key_type=kind,
            use=key_use,
            algorithm=chosen,
            rotation=policy,
            created_at=self.clock(),
            versions=(),
            publish=publish,
            exportable=exportable,
        )

    def begin(self, planned: Key, first: NewVersion, event: str, also: Also | None = None) -> Key:
        """Store a :meth:`planned` key with its first version, and do ``also``, or neither.

        Raises :class:`KeyExistsError` where the name is taken.
        """
        return first.stored(
            lambda: self.insert(
                lambda master_id: first.to(replace(planned, master_id=master_id)), event, also
            )
        )

    def default_algorithm(self, kind: KeyType) -> str:
        """What a key of that type is made for where nobody says: the first that is allowed."""
        return next(filter(self.record_macs.policy.allows, ALGORITHMS[kind]), ALGORITHMS[kind][0])

    def adopt(self, key: Key, version: KeyVersion, material: bytes) -> Key:
        """Store a key whose one version was made elsewhere, from ``material``, and wrap it here.

        Raises :class:`KeyExistsError` where its name is taken.
        """

        def placed(master_id: str) -> Key:
            empty = replace(key, master_id=master_id)
            return replace(empty, versions=(self.wrapped(empty, version, material),))

        return self.insert(placed, "key.create")

    # Rotating -----------------------------------------------------------------------------

    def rotate(self, key_id: str, *, activate_at: datetime | None = None) -> str:
        """Add a version, which protects from now on; returns its id, such as ``orders:v3``.

        Where the keys are to ``require_backup`` it protects once a backup holds it.
        Compare-and-swap: of several that rotate at once each adds a version of its own, and
        a crash leaves the old one or the new one newest. The former versions go on opening.
        With ``activate_at`` the version waits: it is there, and protects once a scheduler, or
        the verb activate, has made it active. That of an ``index`` key always waits, for the verb
        where no day is given: it is searched, and stored once what is there was swept.
        """
        name = _name(key_id, "a key is rotated by its name, without a version")
        if activate_at is not None:
            ahead = activate_at - self.clock()
            if not timedelta(0) < ahead <= _LONGEST_WAIT:
                raise InvalidInputError(
                    "a version is activated at once, or at a time within the next 36500 days"
                )
        added = NewVersion(self, activate_at)
        rotated = added.stored(lambda: self.update(name, added.to, "key.rotate"))
        return version_id(name, rotated.latest.version)

    def rotate_from(self, version: str, *, reason: str | None = None) -> str:
        """Rotate only if ``version`` (``orders:v3``) is still the newest; returns the newest.

        Whoever loses the race sees the winner's version. ``reason`` goes to the audit log.
        """
        name, number = parse_key_id(version)
        newest = self.rotate_if(
            name, lambda key: self.clock() if key.latest.version == number else None, reason=reason
        )
        return newest or version_id(name, self.get(name).latest.version)

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
        added = NewVersion(self)
        rotated = False

        def change(key: Key) -> Key:
            nonlocal rotated
            now = wanted(key)
            rotated = now is not None
            return added.to(key, now=now) if rotated else key

        name = parse_key_id(key_id)[0]
        swapped = added.stored(lambda: self.update(name, change, "key.rotate", reason=reason))
        return version_id(name, swapped.latest.version) if rotated else None

    # Configuring --------------------------------------------------------------------------

    def set_rotation(self, key_id: str, rotation: RotationPolicy) -> Key:
        """Change how often the key is rotated and how many versions are kept.

        Another interval counts from the newest version on.
        """

        def change(key: Key) -> Key:
            if key.rotation == rotation:
                return key
            if key.is_legacy and rotation.automatic:
                raise _no_next_version(key)
            if rotation.automatic and key.key_type in NEVER_AUTOMATIC:
                raise KeyUsageError(_BY_HAND.format(key.key_type))
            same = key.rotation.interval_days == rotation.interval_days
            return replace(key, rotation=rotation, rotate_at=key.rotate_at if same else None)

        return self.update_named(key_id, change, "key.policy")

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

        return self.update_named(key_id, change, "key.policy", reason=reason)

    def set_publish(self, key_id: str, publish: bool) -> Key:
        """List a signing key's public keys in the JWKS, or stop."""

        def change(key: Key) -> Key:
            if key.key_type is not KeyType.SIGNING:
                raise KeyUsageError("only a signing key has a public key to publish")
            return replace(key, publish=publish)

        return self.update_named(key_id, change, "key.publish")

    def update_named(
        self, key_id: str, change: Callable[[Key], Key], event: str, *, reason: str | None = None
    ) -> Key:
        """:meth:`update` of the key that an id or a version id names, as :meth:`get` finds it."""
        name, number = parse_key_id(key_id)
        return self.update(name, lambda key: change(key.check_has(number)), event, reason=reason)

    # Beneath ------------------------------------------------------------------------------

    def wrapped(self, key: Key, version: KeyVersion, material: Octets) -> KeyVersion:
        """The version with its material, wrapped by the key's master key."""
        binding = self._wrapping.binding_of_version(key, version)
        return replace(version, wrapped=self._wrapping.wrap(key.master_id, material, binding))

    def generate(self, algorithm: str, key_type: KeyType) -> tuple[Octets, bytes | None]:
        """Fresh material, and the public key that belongs to it where there is one."""
        self.record_macs.policy.check(algorithm)
        if key_type is KeyType.SIGNING:
            signing = self.record_macs.policy.generate_signing_key(algorithm)
            return signing.private_bytes(), signing.public.der()
        return self.record_macs.policy.generate_key_material(algorithm), None

    def _under(self, record: Key, master_id: str, memory: dict[Any, Any]) -> Key:
        moved = replace(record, master_id=master_id)
        known: dict[bytes, bytes] = memory.setdefault(master_id, {b"": b""})
        items = [each for each in self._wrapped_in(record) if each[0] not in known]
        rewrapped = self._wrapping.rewrap(record.master_id, master_id, items)
        known.update(zip((wrapped for wrapped, _ in items), rewrapped, strict=True))
        versions = (replace(each, wrapped=known[each.wrapped]) for each in record.versions)
        return replace(moved, versions=tuple(versions))

    def _memories(self, names: list[str]) -> dict[str, dict[Any, Any]]:
        """What :meth:`_under` remembers, for many keys in few calls of the custodian."""
        master_id = self._present_master_id()
        asked: dict[str, list[tuple[str, tuple[bytes, Binding]]]] = {}
        memories: dict[str, dict[Any, Any]] = {}
        for name, found in self.some(names):
            # What is refused ends the move when its turn comes.
            if isinstance(found, Key) and found.master_id != master_id:
                memories[name] = {master_id: {b"": b""}}
                named = ((name, each) for each in self._wrapped_in(found))
                asked.setdefault(found.master_id, []).extend(named)
        for former, items in asked.items():
            rewrapped = self._wrapping.rewrap(former, master_id, [each for _, each in items])
            for (name, (wrapped, _)), new in zip(items, rewrapped, strict=True):
                memories[name][master_id][wrapped] = new
        return memories

    def _wrapped_in(self, key: Key) -> list[tuple[bytes, Binding]]:
        """Each wrapped material of a key, and what it is bound to.

        What is destroyed, or external, has nothing that is wrapped.
        """
        return [
            (each.wrapped, self._wrapping.binding_of_version(key, each))
            for each in key.versions
            if each.wrapped
        ]

    def _named(self, event: str | None, old: Key | None, new: Key) -> dict[str, str]:
        """The key, or the one version that a change is about."""
        if old is None or event in ("key.rotate", "key.import"):
            return {"key": version_id(new.key_id, new.latest.version)}
        before = {each.handle: each for each in old.versions}
        changed = [each for each in new.versions if before.get(each.handle) != each]
        only = version_id(new.key_id, changed[0].version) if len(changed) == 1 else new.key_id
        return {"key": only}


class NewVersion:
    """A fresh version of a key, or with ``brought`` one whose material was made elsewhere: the
    private and the public key. It is wrapped once for each place that it may take.

    However often a writer loses a race, the custodian is asked again only where another version
    took its number, or the store has moved to another master key; an external one is made once.
    """

    def __init__(
        self,
        keys: Keys,
        activate_at: datetime | None = None,
        *,
        brought: tuple[Octets, bytes | None] | None = None,
        external: bool = False,
    ) -> None:
        self._keys = keys
        self._brought = brought
        self._activate_at = activate_at
        self._external = external
        self._place: tuple[str, int] | None = None
        self._version: KeyVersion | None = None
        self._material: Octets = b""

    def to(self, key: Key, *, now: datetime | None = None) -> Key:
        """``key`` with this version as its newest, active or waiting. Nothing is stored yet."""
        if key.is_legacy:
            raise _no_next_version(key)
        # Of a machine whose clock went back the key's own record knows better.
        known = [each.created_at for each in key.versions[-1:]] if now is None else []
        now = now or self._keys.clock()
        number = key.versions[-1].version + 1 if key.versions else 1
        place = (key.master_id, number)
        if self._version is None:
            self._version = self._made(key, number, now)
        if place != self._place:
            numbered = replace(self._version, version=number)
            if numbered.external is None:
                numbered = self._keys.wrapped(key, numbered, self._material)
            self._version = numbered
            self._place = place
        begins = max(now, self._activate_at or now, *known)
        return replace(
            key,
            versions=(*key.versions, replace(self._version, created_at=now)),
            rotate_at=begins + timedelta(days=key.rotation.interval_days),
        )

    def stored(self, store: Callable[[], Key]) -> Key:
        """The key that ``store`` gives; where this version is not in it nobody's key stays behind.

        Not where nobody knows whether it is: an outage in the midst of a commit leaves it.
        """
        try:
            key = store()
        except (ConflictError, KeyExistsError):
            self._discard()
            raise
        if self._version is not None and key.latest.handle != self._version.handle:
            self._discard()
        return key

    def _discard(self) -> None:
        if self._version is not None and self._version.external is not None:
            self._keys.external.discard(self._version)

    def _made(self, key: Key, number: int, now: datetime) -> KeyVersion:
        searched = bool(key.versions) and key.key_type is KeyType.INDEX
        waits = self._keys.require_backup or self._activate_at is not None or searched
        made = KeyVersion(
            version=number,
            handle=secrets.token_bytes(HANDLE_BYTES),
            state=KeyState.PRE_ACTIVATION if waits else KeyState.ACTIVE,
            created_at=now,
            wrapped=b"",
            activate_at=self._activate_at,
            origin=KeyOrigin.GENERATED if self._brought is None else KeyOrigin.IMPORTED,
        )
        if self._external or (key.versions and key.is_external):
            return self._keys.external.made(key, made)
        self._material, public_key = self._brought or self._keys.generate(
            key.algorithm, key.key_type
        )
        return replace(made, public_key=public_key)


def key_type_of(text: str) -> KeyType:
    """The type of a named key. Raises :class:`InvalidInputError`, :class:`KeyUsageError`."""
    try:
        kind = KeyType(text)
    except ValueError:
        raise InvalidInputError(
            "a key type is encryption, signing, mac, index or deterministic"
        ) from None
    if kind is KeyType.API:
        raise KeyUsageError(
            "a credential is made where its secret can be shown once, not as a named key"
        )
    return kind


def _name(key_id: str, otherwise: str) -> str:
    name, number = parse_key_id(key_id)
    if number is not None:
        raise InvalidInputError(otherwise)
    return name


def _no_next_version(key: Key) -> KeyUsageError:
    return KeyUsageError(
        f"key {key.key_id!r} only opens what the XOR cipher wrote: it has no next version"
    )


def _key_use(text: str) -> KeyUse:
    try:
        return KeyUse(text)
    except ValueError:
        raise InvalidInputError("a use is data or request") from None
