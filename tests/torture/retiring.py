"""Operations on what is old: destroyed, erased, rotated because it is due, backed up."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.bootstrap import rotation_scheduler
from mycelium_fractal_net.files.new_file import new_file
from mycelium_fractal_net.security.backup import record_backup, write_backup
from mycelium_fractal_net.security.lifecycle.retention import cleanup_old_versions, erase_due
from mycelium_fractal_net.security.records.keys import KeyState, Verb

if TYPE_CHECKING:
    import random

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.records.keys import KeyVersion
    from tests.torture.killing import Tell
    from tests.torture.place import Place

__all__ = ["backup", "destroy", "erase", "look", "open_audit", "rotate_due", "rotated"]

_OPEN: Final = (KeyState.ACTIVE, KeyState.DEACTIVATED)


def rotated(provider: StoredKeyProvider, key: str, tell: Tell) -> int:
    """Rotate a key, and say so."""
    tell("try-version", key)
    number = int(provider.rotate_key(key).rpartition("v")[2])
    tell("version", key, number)
    return number


def open_audit(provider: StoredKeyProvider, draw: random.Random) -> None:
    """Half of the time: take an audit chain before, so that a kill hits the change and not that."""
    if provider.audit is not None and draw.random() < 0.5:
        provider.audit.open()


def _old_logs(provider: StoredKeyProvider, *states: KeyState) -> list[KeyVersion]:
    return [v for v in provider.keys.get("logs").versions[:-1] if v.state in states]


def destroy(place: Place, tell: Tell, draw: random.Random) -> None:
    """An old version goes to pending destruction; now and then its destruction is cancelled."""
    with place.open() as keyring:
        provider = keyring.provider
        if not _old_logs(provider, *_OPEN):
            rotated(provider, "logs", tell)
        pending = _old_logs(provider, KeyState.PENDING_DESTRUCTION)
        verb = Verb.CANCEL_DESTRUCTION if pending and draw.random() < 0.2 else Verb.DESTROY
        version = (pending if verb is not Verb.DESTROY else _old_logs(provider, *_OPEN))[0]
        name, after = f"logs:v{version.version}", version.state_after(verb)
        tell("try-state", "logs", version.version, after.value)
        # So that the window has passed by the store's clock, which nobody moves.
        provider.clock = lambda: datetime.now(UTC) - timedelta(days=40)
        open_audit(provider, draw)
        tell.begun()
        if verb is Verb.DESTROY:
            report = cleanup_old_versions(
                provider, keyring.usage, "logs", 1, reason="torture", versions=[name]
            )
            if report.moved != (name,):
                raise AssertionError(f"not moved: {report}")
        else:
            provider.states.apply(verb, name, reason="torture")
        tell("state", "logs", version.version, after.value)


def _about_to_erase(provider: StoredKeyProvider, tell: Tell) -> list[KeyVersion]:
    pending = _old_logs(provider, KeyState.PENDING_DESTRUCTION)
    for version in pending:
        tell("doomed", version.version, version.wrapped.hex())
        tell("try-state", "logs", version.version, KeyState.DESTROYED.value)
    return pending


def erase(place: Place, tell: Tell, draw: random.Random) -> None:
    """What is pending and past its window is erased, and scrubbed from the files."""
    with place.open() as keyring:
        provider = keyring.provider
        pending = _about_to_erase(provider, tell)
        open_audit(provider, draw)
        tell.begun()
        erase_due(provider, "logs")
        for version in pending:
            tell("state", "logs", version.version, KeyState.DESTROYED.value)
        _tell_gone(place, provider, tell)


def _tell_gone(place: Place, provider: StoredKeyProvider, tell: Tell) -> None:
    if place.on_sqlite and not provider.store.database.needs_scrub:
        for version in _old_logs(provider, KeyState.DESTROYED):
            tell("gone", version.version)


def rotate_due(place: Place, tell: Tell, draw: random.Random) -> None:
    """A key falls due, and a scheduler looks."""
    with place.open() as keyring:
        provider = keyring.provider
        now = provider.store.database.now()
        if provider.keys.get("due").rotation_due > now:
            provider.keys.reschedule("due", lambda _: now - timedelta(hours=1))
            tell("due")
    look(place, tell, draw)


def look(place: Place, tell: Tell, draw: random.Random) -> None:
    """A scheduler looks, and rotates and erases what is due."""
    with place.open() as keyring:
        provider = keyring.provider
        tell("try-version", "due")
        _about_to_erase(provider, tell)
        open_audit(provider, draw)
        tell.begun()
        report = rotation_scheduler(place.settings, provider).run_once()
        if not report.ok:
            raise AssertionError(f"a look failed: {report}")
        tell("version", "due", provider.keys.get("due").latest.version)
        _tell_gone(place, provider, tell)


def backup(place: Place, tell: Tell, draw: random.Random) -> None:
    """The store into one file, beside a copy of the master key file as somebody keeps it."""
    ledger = place.ledger
    if "master" in ledger.unfinished:  # then there is none: it would need two master keys
        look(place, tell, draw)
        return
    target = place.backups / f"{draw.getrandbits(64):016x}"
    latest = {name: known.latest for name, known in ledger.keys.items()}
    with place.open() as keyring:
        provider = keyring.provider
        master = place.home / "master.key"
        shutil.copy(master, target.with_suffix(".key"))
        open_audit(provider, draw)
        tell.begun()
        with new_file(target, master.stat()) as writer:
            made = write_backup(provider, writer)
        record_backup(provider, made)
        tell("backup", str(target), latest, len(ledger.messages))
