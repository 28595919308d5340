"""What was acknowledged, and may therefore never be lost again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mycelium_fractal_net.security.records.keys import KeyState

__all__ = ["Fact", "Ledger", "Message", "VersionLedger"]

Fact = tuple[Any, ...]
"""What a child says in one line: a word, and strings and numbers that belong to it."""


@dataclass(frozen=True, slots=True)
class Message:
    """A sealed message that somebody was given, what is in it and which version sealed it."""

    sealed: bytes
    plain: bytes
    key_id: str
    version: int


@dataclass(slots=True)
class VersionLedger:
    """What is known of one key's versions."""

    latest: int = 1
    tried: int = 0
    """Rotations begun whose end nobody was told: so many versions more there may be."""
    states: dict[int, set[KeyState]] = field(default_factory=dict)
    """The states that a version may be in; it is active where nothing stands."""

    def may_be(self, version: int) -> set[KeyState]:
        """The states in which this version may be found."""
        return self.states.get(version, {KeyState.ACTIVE})


@dataclass(slots=True)
class Ledger:
    """Everything that one store must still have."""

    keys: dict[str, VersionLedger] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    raw: Counter[bytes] = field(default_factory=Counter)
    doomed: dict[bytes, int] = field(default_factory=dict)
    """Wrapped keys of versions of ``logs`` that somebody was about to erase."""
    gone: set[int] = field(default_factory=set)
    """Versions of ``logs`` that were erased, with the files scrubbed."""
    backups: list[tuple[Path, dict[str, int], int]] = field(default_factory=list)
    """Backups, with the newest version of each key and the number of messages before each."""
    due: int = 0
    """How often the schedule of the key ``due`` has come."""
    unfinished: set[str] = field(default_factory=set)
    """Work that was begun and of which the rest is still to be done, by operation."""

    def take(self, fact: Fact) -> None:
        """Take in what a process said. Raises :class:`ValueError` for an unknown word."""
        match fact:
            case ("begun" | "done" | "failed", *_):
                pass
            case ("try-version", str(key)):
                self.keys[key].tried += 1
            case ("version", str(key), int(number)):
                known = self.keys[key]
                known.latest = max(known.latest, number)
            case ("try-state", str(key), int(number), str(state)):
                known = self.keys[key]
                known.states[number] = known.may_be(number) | {KeyState(state)}
            case ("state", str(key), int(number), str(state)):
                self.keys[key].states[number] = {KeyState(state)}
            case ("sealed", str(sealed), str(plain), str(key), int(number)):
                message = Message(bytes.fromhex(sealed), bytes.fromhex(plain), key, number)
                self.messages.append(message)
            case ("raw", str(handle)):
                self.raw[bytes.fromhex(handle)] += 1
            case ("doomed", int(number), str(wrapped)):
                self.doomed[bytes.fromhex(wrapped)] = number
            case ("gone", int(number)):
                self.gone.add(number)
            case ("backup", str(path), dict(latest), int(messages)):
                self.backups.append((Path(path), latest, messages))
            case ("due",):
                self.due += 1
            case ("unfinished", str(operation)):
                self.unfinished.add(operation)
            case ("finished", str(operation)):
                self.unfinished.discard(operation)
            case _:
                raise ValueError(f"a child said {fact[0]}, which nobody knows")
