"""Several requests at once, where the other side has no batches."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_T = TypeVar("_T")
_R = TypeVar("_R")

AT_ONCE: Final = 8


def in_parallel(ask: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    """``ask`` of each, in order, at most :data:`AT_ONCE` at a time.

    After the first that raises no further one is begun, and that error is raised. The threads are
    daemons: one that waits for a silent server keeps no process from ending.
    """
    if len(items) == 1:
        return [ask(items[0])]
    left = iter(enumerate(items))
    found: dict[int, _R] = {}
    failed: list[BaseException] = []
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                place, item = next(left, (-1, None))
                if item is None or failed:
                    return
            try:
                found[place] = ask(item)
            except BaseException as error:
                failed.append(error)

    threads = [
        threading.Thread(target=work, name="mfn-kms", daemon=True)
        for _ in range(min(AT_ONCE, len(items)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return [found[place] for place in range(len(items))]
