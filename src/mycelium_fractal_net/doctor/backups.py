"""What no backup holds, backups that are old, and a restored store that waits for its operator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from mycelium_fractal_net.doctor.findings import Examined, Finding, notice, warning
from mycelium_fractal_net.security.key_store.rows import from_micros
from mycelium_fractal_net.security.records.keys import version_id

# A key that is rotated every 90 days has a version that is older than this in two looks of three.
_OLD: Final = timedelta(days=30)


def backup_findings(store: Examined) -> Iterator[Finding]:
    """Of a store whose keys nobody rotates unasked and that never had a backup, nothing.

    What was made by hand somebody knows of; what schedulers make is lost with the store.
    """
    yield from _unconfirmed(store)
    keys = store.provider.store
    last = keys.last_backup()
    settings = store.settings
    automatic = (
        settings.security.key_management.rotation_enabled or settings.rotation.require_backup
    )
    if last is None and not automatic:
        return
    found = warning if automatic else notice
    count, some = keys.not_held()
    if count:
        named = ", ".join(version_id(key_id, version) for key_id, version in some)
        more = f" and {count - len(some)} more" if count > len(some) else ""
        yield found(
            "no-backup",
            f"key {named}{more}",
            "no backup holds it: what it protects is lost with this store; mfn backup FILE",
        )
    if last is None:
        return
    age = store.provider.clock() - from_micros(last.made_at)
    if age > _OLD:
        yield found(
            "old-backup",
            "key store",
            f"its last backup is {age.days} days old: mfn backup FILE",
        )


def _unconfirmed(store: Examined) -> Iterator[Finding]:
    """Credentials of a store that came from a backup, which nobody has looked at."""
    waiting = sum(1 for _ in store.provider.credentials.unconfirmed())
    status = store.provider.store.require_status()
    if waiting and status.restored_at is not None:
        yield warning(
            "unconfirmed",
            f"{waiting} credentials" if waiting > 1 else "1 credential",
            f"refused since the store was restored on {from_micros(status.restored_at):%Y-%m-%d}:"
            " mfn credential list shows them; then mfn credential confirm ID, or"
            " mfn credential revoke ID",
        )
