"""What a process that was forked must not go on with: locks, connections, counts of its parent."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TypeVar

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
