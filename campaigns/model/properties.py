"""What must hold: of each state, of each change, of what each operation comes to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from campaigns.model.search import ViolationError
from campaigns.model.world import BEGIN, KEY, Content, World
from mycelium_fractal_net.security.key_providers import LocalKeyProvider
from mycelium_fractal_net.security.key_store.freshness import STALE_SECONDS
from mycelium_fractal_net.security.key_store.rows import micros
from mycelium_fractal_net.security.keyring.key_in_use import KeyInUse
from mycelium_fractal_net.security.records.keys import Key, KeyState, MinimumVersions

_S: Final = KeyState
OPENS: Final = frozenset([_S.ACTIVE, _S.DEACTIVATED])
_MOMENT: Final = 1e-9  # seconds: what changed at the very time counts
_DAY: Final = 86_400_000_000  # microseconds

History = tuple[tuple[float, tuple[str, ...]], ...]
"""The states of the versions, each time that they changed, with the seconds of the clock."""

# What each may do to a version that is there.
_MAY: Final = {
    "scheduler": {
        (_S.PRE_ACTIVATION, _S.ACTIVE),
        (_S.ACTIVE, _S.PENDING_DESTRUCTION),
        (_S.DEACTIVATED, _S.PENDING_DESTRUCTION),
        (_S.PENDING_DESTRUCTION, _S.DESTROYED),
    },
    "operator": {
        (_S.ACTIVE, _S.COMPROMISED),
        (_S.ACTIVE, _S.SUSPENDED),
        (_S.ACTIVE, _S.PENDING_DESTRUCTION),
        (_S.SUSPENDED, _S.ACTIVE),
        (_S.DEACTIVATED, _S.PENDING_DESTRUCTION),
        (_S.PENDING_DESTRUCTION, _S.DEACTIVATED),
    },
    "writer": set(),
    "reader": set(),
}


class Event(NamedTuple):
    """What an operation came to: ``what`` it did, with which version, begun when."""

    what: str
    version: int
    begun: float
    error: str = ""


def vector(content: Content) -> tuple[str, ...]:
    """The states of the versions, oldest first."""
    return tuple(each.state for each in content.versions)


def due_at(content: Content) -> int:
    """When the key is due, as its record says."""
    if content.rotate_at is not None:
        return content.rotate_at
    return content.versions[-1].created_at + content.interval_days * _DAY


def stored(world: World, provider: LocalKeyProvider) -> MinimumVersions:
    """A store that nobody can tell from one in which nothing ran at once.

    The record is authentic, its versions are numbered from one on without a gap and have handles
    of their own, one of them is newest, the minimum versions are in order, and whatever was sealed
    under a version that is not destroyed opens.
    """
    key = provider.keys.get(KEY)
    numbers = [each.version for each in key.versions]
    _insist(numbers == list(range(1, len(numbers) + 1)), f"the versions are {numbers}")
    _insist(len({each.handle for each in key.versions}) == len(numbers), "two have one handle")
    floors = key.minimum_versions
    _insist(list(floors) == sorted(floors), f"the minimum versions cross: {floors}")
    primary = key.primary_or_none
    _insist(primary in (None, key.latest), "what protects is not the newest version")
    for version in key.versions:
        erased = version.state is _S.DESTROYED
        _insist(erased != bool(version.wrapped), f"v{version.version}: state and material disagree")
    for number, message in world.messages:
        _insist(
            key.version(number).state is _S.DESTROYED or _opens(provider, key, number, message),
            f"what v{number} sealed does not open any more",
        )
    return floors


def _opens(provider: LocalKeyProvider, key: Key, number: int, message: bytes) -> bool:
    found = KeyInUse(provider, key, key.version(number), 0.0)
    return found.sealer.open(message, b"") == b"message"


def changed(role: str, seconds: float, before: Content, after: Content) -> None:
    """One step of somebody: nothing is lost, nothing is done twice, and only what that one may."""
    added = after.versions[len(before.versions) :]
    _insist(len(after.versions) >= len(before.versions), "a version is gone")
    _insist(after.revision >= before.revision, "the record went back")
    for old, new in zip(before.versions, after.versions, strict=False):
        _insist(
            old.state == new.state or (old.state, new.state) in _MAY[role],
            f"the {role} made v{old.version}, which was {old.state}, {new.state}",
        )
        _insist(new.compromised >= old.compromised, f"v{old.version} is not compromised any more")
        _insist(old.created_at == new.created_at, f"v{old.version} is another one")
    if added and role == "scheduler":
        wall = micros(BEGIN) + round(seconds * 1_000_000)
        _insist(len(added) == 1, f"{len(added)} versions at once")
        _insist(due_at(before) <= wall, "a version more than the key was due for")
        _insist(before.versions[-1].state == _S.ACTIVE, "a key that was out of use was rotated")
    elif added:
        _insist(role == "operator", f"the {role} added a version")


def raised(role: str, before: MinimumVersions, after: MinimumVersions) -> None:
    """The minimum versions only go up; what an operator takes back may lower what opens."""
    for name, old, new in zip(MinimumVersions._fields, before, after, strict=True):
        _insist(
            new >= old or (role == "operator" and name == "decrypt"),
            f"the minimum version that is {name} went from {old} to {new}",
        )


def happened(
    event: Event, history: History, seconds: float, content: Content, *, outage: bool
) -> None:
    """What an operation came to was right at a moment of it, or of the five seconds before."""
    states = list(_within(history, event.begun - STALE_SECONDS, seconds))
    if outage and event.error in ("StoreUnavailableError", "KeyUnavailable"):
        return
    if event.what == "looked":
        _insist(not event.error, f"a look failed: {event.error}")
        begun = micros(BEGIN) + round(event.begun * 1_000_000)
        meanwhile = _within(history, event.begun - _MOMENT, seconds)
        _insist(
            due_at(content) > begun or any(each[-1] != _S.ACTIVE for each in meanwhile),
            "a look ended, and the key is due since before it began",
        )
    elif event.what == "opened":
        right = any(_state(each, event.version) in OPENS for each in states)
        _insist(right, f"v{event.version} opened a message five seconds after it was revoked")
    elif event.what == "not opened":
        _insist(event.error == "KeyStateError", f"opening failed: {event.error}")
        wrong = any(_state(each, event.version) not in OPENS for each in states)
        _insist(wrong, f"v{event.version} was refused, which opened all the time")
    elif event.what == "sealed":
        right = any(len(each) == event.version and each[-1] == _S.ACTIVE for each in states)
        _insist(right, f"v{event.version} sealed five seconds after it was not to any more")
    elif event.what == "not sealed":
        _insist(event.error == "KeyStateError", f"sealing failed: {event.error}")
        wrong = any(each[-1] != _S.ACTIVE for each in states)
        _insist(wrong, "nothing was sealed, though a version protected all the time")
    elif event.what == "not done":  # by an operator, whose word comes too late
        _insist(event.error == "KeyStateError", f"an operator's word failed: {event.error}")


def _within(history: History, after: float, until: float) -> Iterator[tuple[str, ...]]:
    """The states that were in force at some moment later than ``after``, until ``until``."""
    for number, (since, states) in enumerate(history):
        ended = history[number + 1][0] if number + 1 < len(history) else float("inf")
        if since <= until and ended > after:
            yield states


def _state(states: tuple[str, ...], version: int) -> str | None:
    return states[version - 1] if version <= len(states) else None


def _insist(condition: object, what: str) -> None:
    if not condition:
        raise ViolationError(what)
