"""What is measured together: classes of inputs to one operation, and which must not differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

AGAIN = "again"
"""The negative control: a second class of what the base class is made of."""


@dataclass(frozen=True)
class Pair:
    """Two classes that must take the same time, unless there is a ``cause`` for which they do not.

    A cause says what makes the difference and why it tells nothing. ``control`` turns it round: a
    difference that is known to be there, and must be found.
    """

    a: str
    b: str
    cause: str = ""
    control: bool = False


@dataclass(frozen=True)
class Group:
    """Classes that are measured in one random order.

    ``classes`` makes one input of each, anew for every sample; ``attempt`` is what takes the time,
    and swallows the refusal. Of ``base`` the controls are made, by ``controls`` where what it
    makes is kept somewhere, so that none of it is met more often than that of others. ``delays``
    are how many nanoseconds, about, the positive controls are given more. ``renew`` is called
    before each batch.
    """

    name: str
    what: str
    base: str
    classes: Mapping[str, Callable[[], Any]]
    pairs: Sequence[Pair]
    delays: Sequence[int]
    attempt: Callable[[Any], object] = bool
    controls: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    renew: Callable[[], object] = bool

    @property
    def names(self) -> list[str]:
        """The classes, then the negative control, then the positive ones."""
        return [*self.classes, *controls_of(self.delays)]

    def make(self, name: str) -> Any:
        """An input of that class; controls have those of the base."""
        make = self.classes.get(name) or self.controls.get(name) or self.classes[self.base]
        return make()

    def delay(self, name: str) -> int:
        """The nanoseconds that are added for that class."""
        return next((each for each in self.delays if delayed(each) == name), 0)


def controls_of(delays: Sequence[int]) -> list[str]:
    """The names of the controls: the negative one, then those with a delay."""
    return [AGAIN, *map(delayed, delays)]


def delayed(nanoseconds: int) -> str:
    """What the positive control with so much more is called."""
    return f"+{nanoseconds}"


def among(names: Sequence[str], cause: str = "") -> list[Pair]:
    """Each of them beside each."""
    return [Pair(a, b, cause) for n, a in enumerate(names) for b in names[n + 1 :]]


def across(some: Sequence[str], others: Sequence[str], cause: str) -> list[Pair]:
    """Each of some beside each of the others, which differ for that cause."""
    return [Pair(a, b, cause) for a in some for b in others]
