"""What an operator should mend, read from the live configuration and store.

Each check is a small function that yields findings; a later part adds its own to
:data:`_STORE_CHECKS`. Nothing is changed, and no finding shows a secret.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.bootstrap import build_policy, open_provider
from mycelium_fractal_net.config.settings import OWASP_ITERATIONS
from mycelium_fractal_net.doctor.acknowledged import known
from mycelium_fractal_net.doctor.algorithms import refused_key, refused_signers
from mycelium_fractal_net.doctor.audit_records import audit_findings
from mycelium_fractal_net.doctor.backups import backup_findings
from mycelium_fractal_net.doctor.credentials import credential_findings
from mycelium_fractal_net.doctor.custody import custody_findings
from mycelium_fractal_net.doctor.external_keys import external_findings, left_over_findings
from mycelium_fractal_net.doctor.findings import (
    Examined,
    Finding,
    critical,
    notice,
    warning,
)
from mycelium_fractal_net.doctor.old_cipher import old_cipher_findings
from mycelium_fractal_net.doctor.permissions import file_findings
from mycelium_fractal_net.doctor.posture import STORE_POSTURE, posture_findings
from mycelium_fractal_net.doctor.put_back import put_back_findings
from mycelium_fractal_net.doctor.retention import (
    compromised_findings,
    mac_findings,
    retention_findings,
)
from mycelium_fractal_net.doctor.rotation import (
    due_time_findings,
    failure_findings,
    rotation_findings,
)
from mycelium_fractal_net.doctor.rules import RAISED, Severity
from mycelium_fractal_net.doctor.takeovers import takeover_findings
from mycelium_fractal_net.doctor.transport import exportable_findings, import_findings
from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    KeyStateError,
    MfnError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_store import Database, UsageStore
from mycelium_fractal_net.security.key_store.scheduler_table import SchedulerTable
from mycelium_fractal_net.security.key_store.usage import RAW_MESSAGES_ROTATE
from mycelium_fractal_net.security.records.keys import DEFAULT_KEY_ID, Key, KeyState, version_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mycelium_fractal_net.bootstrap.custodians import Passphrase
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.records.keys import KeyVersion

PROD: Final = "prod"
"""The profile of a service in production."""

_SAMPLED: Final = 3  # versions beside the newest, of a key that has more
_PAGE: Final = 1000  # keys in memory at once


def diagnose(
    settings: Settings,
    passphrase: Passphrase = None,
    *,
    all_versions: bool = False,
    also: Sequence[Path] = (),
    profile: str | None = None,
    configuration: Path | None = None,
) -> list[Finding]:
    """Everything there is to mend, the most severe first, then what is acknowledged.

    With the ``profile`` ``prod`` also what a reviewer of a service in production would say: see
    :mod:`.posture`, which looks at the file ``configuration`` of the settings too.

    Of each key the newest version is unwrapped, or asked about with its custodian where it is
    external, and a few of the others, or with ``all_versions`` all of them. Audit records that were
    moved away are read from the folders ``also``.
    """
    strict = profile == PROD
    findings = list(file_findings(settings))
    if strict:
        findings.extend(posture_findings(settings, configuration))
    database: Database | None = None
    provider: StoredKeyProvider | None = None
    try:
        policy = build_policy(settings)
        database = Database(settings.store)
        provider = open_provider(settings, policy, database, passphrase)
        provider.store.require_status()
        status = provider.custodian.inspect()
        store = Examined(settings, status, provider, UsageStore(database), all_versions, also)
        for check in (*_STORE_CHECKS, *(STORE_POSTURE if strict else ())):
            findings.extend(check(store))
        findings = known(provider, findings)
    except MfnError as error:
        if str(error) not in {finding.advice for finding in findings}:
            findings.append(_unopened(settings, error))
    finally:
        if provider is not None:
            provider.custodian.close()
        if database is not None:
            database.close()
    if strict:
        findings = [replace(each, severity=_raised(each)) for each in findings]
    order = list(Severity)
    return sorted(
        findings, key=lambda each: (each.acknowledged is not None, -order.index(each.severity))
    )


def _raised(finding: Finding) -> Severity:
    """Its severity in production."""
    if finding.severity is Severity.NOTICE:
        return RAISED.get(finding.check, finding.severity)
    return finding.severity


def _unopened(settings: Settings, error: MfnError) -> Finding:
    """Why the store does not open; one that its custodian keeps closed is that one's."""
    if isinstance(error, (CustodianUnavailableError, CustodianDeniedError)):
        provider = settings.security.key_management.provider
        return critical("custodian", provider, f"{error}. {error.kind.advice}")
    return critical("open", "key store", str(error))


def _writing(store: Examined) -> Iterator[Finding]:
    """A store that can be read alone: on a full disk, a replica, locked by somebody."""
    try:
        store.provider.store.check_writable()
    except MfnError as error:
        yield critical("store-write", "key store", f"cannot be written: {error}")


def _master_key(store: Examined) -> Iterator[Finding]:
    """How the master key is guarded, and a move that did not finish."""
    iterations, path = store.custodian.iterations, store.custodian.place
    if store.custodian.guard == "none":
        yield notice(
            "master-key",
            path,
            "the master key lies in the file unencrypted: mfn master passphrase puts it under a"
            " passphrase",
        )
    elif iterations is not None and iterations < OWASP_ITERATIONS:
        yield notice(
            "iterations",
            path,
            f"{iterations} PBKDF2 iterations; OWASP advises {OWASP_ITERATIONS}: raise"
            " security.encryption.key_derivation_iterations and run mfn master passphrase",
        )
    master_keys = store.provider.master_keys
    current = store.provider.store.require_status().master_id
    own = store.provider.custodian.managing() is not None
    if master_keys.former(current) or (own and len(store.custodian.kek_ids) > 1):
        yield warning(
            "master-move",
            path,
            f"the store is between two master keys; to finish: {master_keys.way_on()}",
        )
    elif store.provider.custodian.newest_id() != current:
        yield notice(
            "master-version",
            path,
            f"the store is not under the newest master key; to move it: {master_keys.way_on()}",
        )


def _keys(store: Examined) -> Iterator[Finding]:
    """Rows that fail their authentication, keys past their policy or out of use."""
    near_limit = store.usage.raw_reserved_from(RAW_MESSAGES_ROTATE)
    due, found = SchedulerTable(store.provider.store.database), store.provider.keys.each()
    while page := list(itertools.islice(found, _PAGE)):
        due_times = due.due_times([name for name, _ in page])
        for name, key in page:
            if isinstance(key, MfnError):
                yield critical("authentication", f"key {name}", str(key))
            else:
                yield from _key(store, key, near_limit)
                yield from due_time_findings(store, key, due_times[name])
    for key_id in DEFAULT_KEY_ID.values():
        if not store.provider.store.keys.has(key_id):
            yield notice("default-key", f"key {key_id}", "is missing: mfn init makes it")


def _key(store: Examined, key: Key, near_limit: frozenset[bytes]) -> Iterator[Finding]:
    subject = f"key {key.key_id}"
    sampled = _to_unwrap(store, key)
    for version in key.versions:
        named = version_id(key.key_id, version.version)
        if version in sampled and version.external is not None:
            yield from external_findings(store, key, version)
        elif version in sampled:
            try:
                store.provider.keys.unwrap(key, version)
            except StoreIntegrityError as error:
                yield critical("authentication", f"key {named}", str(error))
        if version is key.primary_or_none and version.handle in near_limit:
            yield warning(
                "raw-limit",
                f"key {named}",
                f"has encrypted half of the raw messages that it may: mfn key rotate {key.key_id}",
            )
    yield from refused_key(store, key)
    yield from exportable_findings(key)
    yield from retention_findings(store, key)
    yield from compromised_findings(store, key)
    yield from mac_findings(store, key)
    if key.is_legacy:  # it has one version, which protects nothing and has no next one
        return
    newest = key.latest
    try:
        key.primary  # noqa: B018 - it says why nothing is protected
    except KeyStateError as error:
        what = (
            f"protects nothing, its newest version is {newest.state}: mfn key rotate {key.key_id}"
        )
        waits = newest.state is KeyState.PRE_ACTIVATION
        yield warning("no-active-version", subject, str(error) if waits else what)
    yield from rotation_findings(store, key)


def _to_unwrap(store: Examined, key: Key) -> list[KeyVersion]:
    """The versions whose wrapping is tried, or whose key with the custodian is looked at: each is
    a call where that is far away."""
    there = [each for each in key.versions if each.has_key]
    if store.all_versions or len(there) <= _SAMPLED:
        return there
    chosen = [*random.sample(there[:-1], _SAMPLED), there[-1]]
    absent = store.external.absent if key.is_external else ()
    return [each for each in there if each in chosen or each.external in absent]


def _settings(store: Examined) -> Iterator[Finding]:
    """Settings that are allowed and could be better."""
    iterations = store.settings.security.encryption.key_derivation_iterations
    if iterations < OWASP_ITERATIONS and store.custodian.guard == "none":
        yield notice(
            "iterations",
            "security.encryption.key_derivation_iterations",
            f"is {iterations}; OWASP advises {OWASP_ITERATIONS} for the next passphrase",
        )


_STORE_CHECKS: Final[tuple[Callable[[Examined], Iterator[Finding]], ...]] = (
    _writing,
    _settings,
    _master_key,
    custody_findings,
    _keys,
    left_over_findings,
    credential_findings,
    refused_signers,
    old_cipher_findings,
    takeover_findings,
    audit_findings,
    put_back_findings,
    backup_findings,
    failure_findings,
    import_findings,
)
