"""Old versions of keys: what is proposed for destruction, pending, or needed after all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from mycelium_fractal_net.doctor.findings import Examined, Finding, critical, notice, warning
from mycelium_fractal_net.security.lifecycle.retention import usage_of
from mycelium_fractal_net.security.records.keys import Key, KeyState, KeyType, version_id
from mycelium_fractal_net.security.records.retention import past_retained

_LATELY: Final = timedelta(days=30)
_SOON: Final = timedelta(days=7)  # the shortest recovery window that there is


def retention_findings(store: Examined, key: Key) -> Iterator[Finding]:
    """What an operator should know of the versions of one key that are on their way out."""
    old = past_retained(key, key.rotation.retain_count)
    if old:
        names = ", ".join(version_id(key.key_id, each.version) for each in old)
        yield notice(
            "retention",
            f"key {key.key_id}",
            f"is to keep {key.rotation.retain_count} versions and has older ones: {names}; what is"
            f" known of their use: mfn rotation cleanup {key.key_id}",
        )
    if any(each.state is KeyState.PENDING_DESTRUCTION for each in key.versions):
        yield from _pending(store, key)


def _pending(store: Examined, key: Key) -> Iterator[Finding]:
    now = store.provider.clock()
    for use in usage_of(store.provider, store.usage, key):
        if use.state is not KeyState.PENDING_DESTRUCTION or use.destroy_at is None:
            continue
        day = f"{use.destroy_at:%Y-%m-%d}"
        keep = f"to keep it: mfn key cancel-destruction {use.version_id}"
        was_kept_since = use.last_kept is not None and (
            use.last_refused is None or use.last_refused < use.last_kept
        )
        if use.last_refused is not None and not was_kept_since:
            yield critical(
                "pending-use",
                f"key {use.version_id}",
                f"is erased on {day} and somebody needs it: {use.refused} uses since, the last"
                f" on {use.last_refused}; {keep}",
            )
        elif use.destroy_at - now <= _SOON:
            yield warning("destruction", f"key {use.version_id}", f"is erased on {day}; {keep}")
        else:
            yield notice("destruction", f"key {use.version_id}", f"is erased on {day}; {keep}")


def mac_findings(store: Examined, key: Key) -> Iterator[Finding]:
    """Older versions of a MAC key that were asked for lately, after the newest one was made."""
    if key.key_type is not KeyType.MAC or len(key.versions) == 1:
        return
    since = max(key.latest.created_at, store.provider.clock() - _LATELY).date()
    for use in usage_of(store.provider, store.usage, key, key.versions[:-1]):
        if use.last_decrypted is not None and use.last_decrypted >= since:
            yield notice(
                "mac-versions",
                f"key {use.version_id}",
                f"is still asked for, last on {use.last_decrypted}: its MACs verify while it is"
                " kept, and a search for one that is made now finds none of them; to rotate it"
                f" no more: mfn key policy {key.key_id} --interval-days 3650",
            )


def compromised_findings(store: Examined, key: Key) -> Iterator[Finding]:
    """Versions that somebody else may know, and under which there is data as far as is known."""
    if key.key_type is not KeyType.ENCRYPTION or not any(v.compromised for v in key.versions):
        return
    for use in usage_of(store.provider, store.usage, key):
        version = key.version(use.version)
        if version.compromised and use.last_protected and not use.rewrapped_at and version.has_key:
            yield warning(
                "compromised-data",
                f"key {use.version_id}",
                f"is compromised and has protected data, last on {use.last_protected}; to move it:"
                f" mfn rewrap PATH --allow-compromised, and once all of it is moved add"
                f" --finished {key.key_id} --reason TEXT",
            )
