"""The composition root: from settings to a keyring that works, and to a new store.

Everything is put together here and nowhere else, so that a test, the command line and the
service hold the same thing.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.bootstrap.beginning import begin
from mycelium_fractal_net.bootstrap.custodians import scheme_of
from mycelium_fractal_net.bootstrap.custody import (
    moved_to,
    of_each,
    open_custodian,
    provider_over,
    with_store_id,
)
from mycelium_fractal_net.bootstrap.of_backup import settings_for_backup, store_id_kept
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.audit import AuditLog, AuditReport, verify
from mycelium_fractal_net.security.audit.export import sink
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    KeyExistsError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
from mycelium_fractal_net.security.key_store import Database, KeyStore, UsageStore
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.keyring.recorded import RecordedKeyring
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.keys import (
    DEFAULT_KEY_ID,
    DEFAULT_ROTATION,
    KeyType,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mycelium_fractal_net.bootstrap.custodians import Opened, Passphrase
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.audit import Head
    from mycelium_fractal_net.security.backup import Backup, Restored
    from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.keyring.opening import OldFormat
    from mycelium_fractal_net.security.rotation import KeyRotationScheduler, RunReport

__all__ = [
    "audit_log",
    "audit_report",
    "build_policy",
    "change_passphrase",
    "initialise",
    "needs_passphrase",
    "open_keyring",
    "open_provider",
    "open_to_move",
    "restore",
    "rotation_scheduler",
    "verify_audit",
    "verify_backup_file",
]

_SAME_INTERVAL: Final = (KeyType.ENCRYPTION, KeyType.MAC)  # a signing key keeps its year


def open_keyring(
    *,
    config: str | Path | None = None,
    store: str | None = None,
    home: str | Path | None = None,
    settings: Settings | None = None,
    passphrase: Passphrase = None,
    record_uses: bool = True,
) -> Keyring:
    """The keyring over the store that the configuration names.

    ``config`` names a configuration file, ``store`` another database URL and ``home`` another
    folder; ``settings`` takes the place of all three. ``passphrase`` is that of the master
    key, or what to call where one is needed. ``record_uses`` is false where the caller sees to
    the audit records of uses itself, whatever ``audit.uses`` says. Close the keyring at the
    end, or use it as a context manager. Raises :class:`ConfigurationError`,
    :class:`MasterKeyError` and :class:`StoreError`.
    """
    chosen = settings or load_settings(config=config, store=store, home=home)
    policy = build_policy(chosen)
    database = Database(chosen.store)
    with _closed_on_failure(database):
        provider = open_provider(chosen, policy, database, passphrase)
        provider.audit = audit_log(chosen, provider)
        return _keyring(chosen, provider, database, record_uses=record_uses)


def initialise(
    *,
    config: str | Path | None = None,
    store: str | None = None,
    home: str | Path | None = None,
    settings: Settings | None = None,
    passphrase: Passphrase = None,
    shared_database: bool = False,
    create_key: bool = False,
) -> Keyring:
    """Create the master key and the store where they are absent, and open them.

    A master key that another machine, or an HSM, keeps is made there with ``create_key`` alone.
    With a ``passphrase`` the new master key is under it. Running this again changes nothing,
    brings an older schema up to date, and finishes what was interrupted. A database that holds
    tables of others is written to only with ``shared_database``.
    """
    chosen = settings or load_settings(config=config, store=store, home=home)
    policy = build_policy(chosen)
    with_store_id(chosen)  # which says what settings lack, before anything is made
    database = Database(chosen.store)
    with _closed_on_failure(database):
        database.create(shared=shared_database)
        key_store = KeyStore(database)
        opened = begin(chosen, policy, key_store, passphrase, create_key=create_key)
        provider = _provider(chosen, key_store, policy, opened)
        provider.audit_keys.count_chains()
        provider.audit = audit_log(chosen, provider)
        with _closed_on_failure(provider.audit):
            _create_default_keys(provider)
            provider.signers.bind_named()  # in a store of an earlier release
        return _keyring(chosen, provider, database, record_uses=True)


def open_to_move(settings: Settings, provider: str, passphrase: Passphrase = None) -> Keyring:
    """The keyring of a store that is to be moved to the custodian ``provider``.

    That one comes first, those of the settings are beside it. What it lacks on this machine, its
    key file or the file of the store's id, is made, once the others were seen to open the store.
    Raises what :func:`open_keyring` does.
    """
    chosen = moved_to(settings, provider)
    policy = build_policy(chosen)
    database = Database(chosen.store)
    with _closed_on_failure(database):
        store = KeyStore(database)
        database.check(scheme_of(settings).advice_without_store(with_store_id(settings)))
        store.require_status()
        opened = begin(chosen, policy, store, passphrase, create_key=False)
        found = _provider(chosen, store, policy, opened)
        found.audit = audit_log(chosen, found)
        return _keyring(chosen, found, database, record_uses=False)


def restore(
    settings: Settings,
    reader: BinaryReader,
    passphrase: Passphrase = None,
    *,
    shared_database: bool = False,
) -> Restored:
    """Put a backup into the store that the settings name, which must be empty.

    The master key of the backup must be where the settings have it. With ``shared_database`` the
    database may hold tables of others.
    See :func:`.security.backup.restore_backup`. Raises what that does, and
    :class:`MasterKeyError`.
    """
    from mycelium_fractal_net.security.backup import restore_backup

    policy = build_policy(settings)
    chosen, again = settings_for_backup(settings, reader)
    opened = open_custodian(chosen, policy, passphrase)
    database = Database(settings.store)
    with store_id_kept(settings, opened.store_id), contextlib.closing(database):
        provider = _provider(settings, KeyStore(database), policy, opened)
        provider.audit = audit_log(settings, provider)
        with contextlib.closing(provider.audit):
            return restore_backup(
                provider,
                again,
                audit_folder=settings.audit_folder,
                shared_database=shared_database,
            )


def verify_backup_file(
    settings: Settings, reader: BinaryReader, passphrase: Passphrase = None
) -> Backup:
    """Open a backup to its end; the master key is asked for and the store is not.

    See :func:`.security.backup.verify_backup`.
    """
    from mycelium_fractal_net.security.backup import verify_backup

    policy = build_policy(settings)
    chosen, again = settings_for_backup(settings, reader)
    opened = open_custodian(chosen, policy, passphrase)
    return verify_backup(Wrapping(*opened), policy, again)


def rotation_scheduler(
    settings: Settings,
    provider: StoredKeyProvider,
    *,
    listener: Callable[[RunReport | None], None] | None = None,
) -> KeyRotationScheduler:
    """The scheduler of a provider's keys. ``listener`` is told of each look."""
    from mycelium_fractal_net.security.rotation import KeyRotationScheduler

    return KeyRotationScheduler(
        provider, credential_days=settings.credentials.rotation_days, listener=listener
    )


def open_provider(
    settings: Settings, policy: Policy, database: Database, passphrase: Passphrase = None
) -> StoredKeyProvider:
    """The provider over a database that there is, without an audit log."""
    chosen = with_store_id(settings)
    scheme = scheme_of(chosen)
    database.check(scheme.advice_without_store(chosen))
    if not scheme.is_there(chosen):
        KeyStore(database).require_status()  # else there is nothing yet that it would open
        raise scheme.missing(chosen, of_backup=False)
    opened = open_custodian(chosen, policy, passphrase)
    return _provider(settings, KeyStore(database), policy, opened)


def _provider(
    settings: Settings, store: KeyStore, policy: Policy, opened: Opened
) -> StoredKeyProvider:
    """A provider whose new keys and versions are as the settings ask for."""
    provider = provider_over(settings, store, policy, opened)
    provider.keys.require_backup = settings.rotation.require_backup
    days = settings.security.key_management.rotation_interval_days
    provider.keys.default_rotation = {
        kind: replace(policy, interval_days=days) if kind in _SAME_INTERVAL else policy
        for kind, policy in DEFAULT_ROTATION.items()
    }
    return provider


def _create_default_keys(provider: StoredKeyProvider) -> None:
    for key_type, key_id in DEFAULT_KEY_ID.items():
        algorithm = provider.keys.default_algorithm(key_type)
        if provider.policy.allows(algorithm) and not provider.store.keys.has(key_id):
            with contextlib.suppress(KeyExistsError):
                provider.keys.create(key_id, key_type)


def build_policy(settings: Settings) -> Policy:
    """The policy that the settings ask for. Raises :class:`ConfigurationError`.

    Where encryption is switched off there is none: nothing passes through unencrypted.
    """
    if not settings.security.encryption.enabled:
        raise ConfigurationError(
            "cryptography is switched off: security.encryption.enabled (MFN_CRYPTO_ENABLED)"
        )
    if settings.legacy.read_xor:
        from mycelium_fractal_net.legacy.xor_format import refuse_fips

        refuse_fips(fips_mode=settings.security.fips_mode)
    return Policy(
        settings.security.allowed_algorithms,
        settings.security.allowed_macs_and_kdfs,
        settings.security.disallowed_algorithms,
        fips_mode=settings.security.fips_mode,
    )


def change_passphrase(
    settings: Settings, passphrase: Passphrase, new: Callable[[], bytes] | None
) -> None:
    """Put the master key under another passphrase, or with None under none.

    ``new`` is called once the master key was opened. Raises :class:`ConfigurationError` where
    the custodian has no passphrase.
    """
    scheme_of(settings).change_passphrase(settings, build_policy(settings), passphrase, new)


def needs_passphrase(settings: Settings) -> bool:
    """Whether a master key is under a passphrase that no file gives."""
    policy = build_policy(settings)
    return any(
        scheme_of(each).is_there(each) and scheme_of(each).needs_passphrase(each, policy)
        for each in of_each(settings)
    )


@contextlib.contextmanager
def _closed_on_failure(opened: Database | AuditLog) -> Iterator[None]:
    """Close it when the block raises: its caller gets no keyring to close."""
    try:
        yield
    except BaseException:
        opened.close()
        raise


def audit_log(settings: Settings, provider: StoredKeyProvider) -> AuditLog:
    """The audit log of a provider, as the settings have it; nothing is opened yet."""
    return AuditLog(
        settings.audit_folder,
        provider.store,
        provider.audit_keys.chain_key,
        segment_bytes=settings.audit.segment_bytes,
        sink=sink(settings.audit.export),
        resolve=provider.journal.resolve_intents,
    )


def verify_audit(
    settings: Settings,
    passphrase: Passphrase = None,
    heads: Iterable[Head] = (),
    *,
    also: Sequence[Path] = (),
    ends_only: bool = False,
    again: bool = False,
) -> AuditReport:
    """Verify the audit records of this machine; takes no chain.

    See :func:`.security.audit.verify`. Raises what :func:`open_keyring` does, and
    :class:`OSError`.
    """
    policy = build_policy(settings)
    database = Database(settings.store)
    with contextlib.closing(database):
        provider = open_provider(settings, policy, database, passphrase)
        return audit_report(settings, provider, heads, also=also, ends_only=ends_only, again=again)


def audit_report(
    settings: Settings,
    provider: StoredKeyProvider,
    heads: Iterable[Head] = (),
    *,
    also: Sequence[Path] = (),
    most_bytes: int | None = None,
    ends_only: bool = False,
    again: bool = False,
) -> AuditReport:
    """:func:`verify_audit` through a provider that is there."""
    store = provider.store
    if store.audit_key() is None:  # one that nothing was recorded for yet makes no key here
        if store.chains() or any(settings.audit_folder.glob("*/*.jsonl")):
            raise StoreIntegrityError("the key of the audit log is not in the store any more")
        return AuditReport([])
    return verify(
        settings.audit_folder,
        store,
        provider.audit_keys.chain_key(),
        heads=heads,
        also=also,
        most_bytes=most_bytes,
        ends_only=ends_only,
        again=again,
    )


def _keyring(
    settings: Settings, provider: StoredKeyProvider, database: Database, *, record_uses: bool
) -> Keyring:
    kind = RecordedKeyring if record_uses and settings.audit.uses else Keyring
    return kind(
        provider,
        UsageStore(database),
        cache_seconds=settings.keyring.cache_seconds,
        cache_keys=settings.keyring.cache_keys,
        old_format=_old_format(settings),
    )


def _old_format(settings: Settings) -> OldFormat | None:
    """What has the keyring open the messages of the cipher that was there before, if it is to."""
    if not settings.legacy.read_xor:
        return None
    from mycelium_fractal_net.legacy.xor_format import XorFormat

    return XorFormat()
