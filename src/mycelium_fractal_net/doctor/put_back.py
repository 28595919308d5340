"""Records of the store that are as they were before a change which the audit records have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mycelium_fractal_net.doctor.audit_records import AUDIT_BYTES
from mycelium_fractal_net.doctor.findings import Examined, Finding, critical
from mycelium_fractal_net.security.audit.changes import Change, changes
from mycelium_fractal_net.security.records.keys import parse_key_id


def put_back_findings(store: Examined) -> Iterator[Finding]:
    """Of credentials, signers and keys, each of which was put back as a whole."""
    provider = store.provider
    if provider.store.audit_key() is None:
        return
    folders = (store.settings.audit_folder, *store.also)
    left: dict[tuple[str, str], dict[str, Change]] = {}
    key = provider.audit_keys.chain_key()
    with contextlib.suppress(OSError):  # which the look at the audit records tells of
        for change in changes(folders, provider.store, key, AUDIT_BYTES):
            if change.key or change.subject:  # that of a master key is of no record
                left.setdefault(_record_of(change), {}).setdefault(change.former, change)
    for (kind, name), ended in sorted(left.items()):
        some = next(iter(ended.values()))
        present = provider.journal.present_mark(some.event, some.key, some.subject)
        if present is not None and present in ended:
            change = ended[present]
            what = "is not there" if not present else "is as it was before"
            yield critical(
                "put-back",
                f"{kind} {name}",
                f"{what}, although the audit has {change.event} on {change.time[:10]} (chain"
                f" {change.chain}, record {change.sequence}): somebody who writes the store put"
                " an old row back; see what it permits, and make the change again",
            )


def _record_of(change: Change) -> tuple[str, str]:
    if change.subject is None:
        return "key", parse_key_id(change.key or "-")[0]
    return "signer" if change.event.startswith("signer.") else "credential", change.subject
