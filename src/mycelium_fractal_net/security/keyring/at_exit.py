"""Writes what a process has counted when it ends, also where nobody closed its keyrings.

Ends are an interpreter's, and those of a child of ``multiprocessing``, which runs what that
module was told and nothing else. A process that is killed, or leaves through ``os._exit``, loses
what was counted since the last writing, and never the fact of use.
"""

from __future__ import annotations

import atexit
import logging
import sys
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from mycelium_fractal_net.security.errors import StoreError
from mycelium_fractal_net.security.forking import in_child

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.cache import KeyCache

_LOG: Final = logging.getLogger(__name__)
_open: Final[WeakSet[KeyCache]] = WeakSet()


def write_at_exit(cache: KeyCache) -> None:
    """Have the counts of ``cache`` written at the end of this process, and of its children."""
    _open.add(cache)
    _tell_multiprocessing(cache)
    in_child(cache, _tell_multiprocessing)


def forget(cache: KeyCache) -> None:
    """Its counts are written."""
    _open.discard(cache)


def write_counts(cache: KeyCache) -> None:
    """Write its counts; one line in the log where the store does not take them."""
    try:
        cache.flush()
    except StoreError as error:
        _LOG.warning("counts of use were not written: %s", error)


@atexit.register
def _write_all() -> None:
    for cache in list(_open):
        write_counts(cache)


def _tell_multiprocessing(cache: KeyCache) -> None:
    """A child forgets what its parent registered, and then runs what is to be run after forks."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        _register(cache)
        util.register_after_fork(cache, _register)


def _register(_: KeyCache) -> None:
    from multiprocessing.util import Finalize

    Finalize(None, _write_all, exitpriority=0)
