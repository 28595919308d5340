"""What does not cross from one process to another: locks, connections, counts, keys."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import NoReturn, TypeVar

_T = TypeVar("_T")


def in_child(owner: _T, act: Callable[[_T], object]) -> None:
    """Have every child of this process call ``act`` with ``owner``, while there is an owner.

    ``act`` is a function of the class, or another that holds no reference to ``owner``: what is
    registered stays for ever.
    """
    this = weakref.ref(owner)

    def call() -> None:
        found = this()
        if found is not None:
            act(found)

    os.register_at_fork(after_in_child=call)


class OfOneProcess:
    """What holds locks, connections or keys. It is neither pickled nor copied."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"{name} is not pickled or copied: open one in each process")
