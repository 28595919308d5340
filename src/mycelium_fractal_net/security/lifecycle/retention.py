"""Which old versions of a key may go, and how they go: proposed, then pending, then erased.

A version past the retained count is *proposed*. It goes to pending destruction only

(a) by an operator's word, with a reason that the audit log keeps;
(b) where a finished rewrap is recorded for it, and nothing has used it since;
(c) where the key's policy has ``auto_destroy``, and nothing has used it for ``unused_for_days``.

Unread is not unneeded: without one of the three a version stays, however old it is. In the
recovery window every use is refused, counted and alarmed, and the destruction can be cancelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.key_store.rows import day_of, start_of_day
from mycelium_fractal_net.security.key_store.scheduler_table import SchedulerTable
from mycelium_fractal_net.security.key_store.usage import (
    KEPT,
    LEASE,
    OPEN,
    PROTECT,
    REFUSED,
    UsageSummary,
)
from mycelium_fractal_net.security.records.keys import (
    DESTRUCTION_WINDOW_DAYS,
    Key,
    KeyState,
    Verb,
    parse_key_id,
    version_id,
)
from mycelium_fractal_net.security.records.retention import (
    CleanupReport,
    Proposal,
    VersionUse,
    judged,
    past_retained,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date, datetime

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store import UsageStore
    from mycelium_fractal_net.security.records.keys import KeyVersion


def usage_of(
    provider: StoredKeyProvider,
    usage: UsageStore,
    key: Key,
    versions: Sequence[KeyVersion] | None = None,
) -> list[VersionUse]:
    """What is known of the use of these versions, by default of all of the key, oldest first.

    What other processes counted within the last half minute may be missing, but not a first
    use of a day. Bytes that :meth:`get_key` handed out are used where nobody counts.
    """
    for counter in list(provider.retirement.counters):
        counter.flush()
    wanted = key.versions if versions is None else versions
    handles = [each.handle for each in wanted]
    held = usage.backed_up(handles)
    found = {(each.handle, each.kind): each for each in usage.summaries(handles)}
    return [_use_of(key, each, found, each.handle in held) for each in wanted]


def _use_of(
    key: Key,
    version: KeyVersion,
    found: dict[tuple[bytes, str], UsageSummary],
    backed_up: bool,
) -> VersionUse:
    def last(kind: str) -> date | None:
        summary = found.get((version.handle, kind))
        return None if summary is None else start_of_day(summary.last_day).date()

    def count(kind: str) -> int:
        summary = found.get((version.handle, kind))
        # A day is begun before its uses are counted: who is on record has used it once at least.
        return 0 if summary is None else max(summary.count, 1)

    return VersionUse(
        version_id=version_id(key.key_id, version.version),
        version=version.version,
        state=version.state,
        created_at=version.created_at,
        rewrapped_at=version.rewrapped_at,
        destroy_at=version.destroy_at,
        last_decrypted=last(OPEN),
        last_protected=last(PROTECT),
        last_refused=last(REFUSED),
        last_kept=last(KEPT),
        leased_until=last(LEASE),
        decrypted=count(OPEN),
        protected=count(PROTECT),
        refused=count(REFUSED),
        backed_up=backed_up,
    )


# What may go ------------------------------------------------------------------------------------


def propose(
    provider: StoredKeyProvider,
    usage: UsageStore,
    key_id: str,
    retain_count: int,
    *,
    now: datetime | None = None,
) -> list[Proposal]:
    """The versions past the newest ``retain_count``, oldest first, and what may become of each.

    ``now`` is the time by the store's clock, where it was read already; of it and this
    machine's the earlier one counts. Nothing is changed. Raises :class:`InvalidInputError`.
    """
    return _proposals(provider, usage, provider.keys.get(_name(key_id)), retain_count, now)


def _proposals(
    provider: StoredKeyProvider,
    usage: UsageStore,
    key: Key,
    retain_count: int,
    now: datetime | None,
) -> list[Proposal]:
    old = past_retained(key, retain_count)
    if not old:
        return []
    today = _earlier(provider, now).date()
    uses = usage_of(provider, usage, key, old)
    return [
        judged(use, key.rotation, today, is_moved=_is_moved(usage, version))
        for version, use in zip(old, uses, strict=True)
    ]


def _is_moved(usage: UsageStore, version: KeyVersion) -> bool:
    """Whether a rewrap is recorded for the version, and nothing has used it since."""
    rewrapped = version.rewrapped_at
    return rewrapped is not None and not usage.was_used_after_rewrap(
        version.handle, day_of(rewrapped)
    )


# How it goes ------------------------------------------------------------------------------------


def cleanup_old_versions(
    provider: StoredKeyProvider,
    usage: UsageStore,
    key_id: str,
    retain_count: int,
    *,
    reason: str | None = None,
    versions: Collection[str] | None = None,
    window_days: int = DESTRUCTION_WINDOW_DAYS,
    now: datetime | None = None,
) -> CleanupReport:
    """Move versions past the newest ``retain_count`` to pending destruction.

    Without ``reason`` those alone that may go by themselves, and none for a day after a clock has
    jumped ahead; with one, which is an operator's
    word, all that are proposed, or those of ``versions`` (``orders:v3``). Each move is a record of
    the audit log. ``window_days``, 7 to 365, is how long it can be cancelled.
    Raises :class:`InvalidInputError`, also for a version that is not proposed.
    """
    if reason is not None and not reason.strip():
        raise InvalidInputError("a reason says why the versions may go")
    name = _name(key_id)
    proposals = propose(provider, usage, name, retain_count, now=now)
    _check_proposed(proposals, versions)
    if reason is None and _is_held(provider, _earlier(provider, now)):
        return CleanupReport(name, retain_count, tuple(proposals))
    moved: list[str] = []
    destroy_at: datetime | None = None

    def still(key: Key, version: KeyVersion) -> bool:
        found = _proposals(provider, usage, key, retain_count, now)
        return any(
            each.version == version.version and (reason is not None or each.may_go)
            for each in found
        )

    for proposal in proposals:
        asked = versions is None or proposal.version_id in versions
        if not asked or (reason is None and not proposal.may_go):
            continue
        key = provider.states.apply(
            Verb.DESTROY,
            proposal.version_id,
            window_days=window_days,
            reason=reason or f"{proposal.reason}: {proposal.why}",
            only_if=still,
        )
        version = key.version(proposal.version)
        if version.state is KeyState.PENDING_DESTRUCTION:
            moved.append(proposal.version_id)
            destroy_at = version.destroy_at
    return CleanupReport(name, retain_count, tuple(proposals), tuple(moved), destroy_at)


def _check_proposed(proposals: list[Proposal], versions: Collection[str] | None) -> None:
    known = {each.version_id for each in proposals}
    for each in versions or ():
        parse_key_id(each)
        if each not in known:
            raise InvalidInputError(
                f"{each} is not proposed: it is among the versions that are kept, waits for its"
                " activation, or is on its way out already"
            )


def erase_due(
    provider: StoredKeyProvider, key_id: str, *, now: datetime | None = None
) -> tuple[str, ...]:
    """Erase the versions of a key whose recovery window has passed; returns which.

    It has passed by the store's clock, ``now`` where that was read already, and by this
    machine's; and nothing is erased for a day after a clock has jumped ahead. On SQLite no byte
    of the wrapped material is left in the store's files; docs/retention.md says what stays
    elsewhere. Public keys stay.
    """
    name, database = _name(key_id), provider.store.database
    now = _earlier(provider, now)
    erased: tuple[str, ...] = ()
    if not _is_held(provider, now):
        before = provider.keys.get(name)
        after = provider.states.erase_due(name, now=now)
        former = {each.version: each.state for each in before.versions}
        erased = tuple(
            version_id(name, each.version)
            for each in after.versions
            if each.state is KeyState.DESTROYED
            and former.get(each.version) is not KeyState.DESTROYED
        )
    # What another process erased, and could not scrub, it may have taken with it when it ended.
    if erased or database.needs_scrub:
        database.scrub()
    return erased


def _is_held(provider: StoredKeyProvider, now: datetime) -> bool:
    """Whether a clock has just jumped ahead, so that no time of today can be believed."""
    look = SchedulerTable(provider.store.database).last_look()
    return look is not None and look.held_until is not None and now < look.held_until


def _earlier(provider: StoredKeyProvider, now: datetime | None) -> datetime:
    """The earlier of this machine's time and the store's: who is ahead destroys nothing early."""
    return min(provider.clock(), now or provider.store.database.now())


def _name(key_id: str) -> str:
    name, number = parse_key_id(key_id)
    if number is not None:
        raise InvalidInputError("old versions are told by the name of their key, without a version")
    return name
