"""Ids of requests, which the answer, the log and the audit record have in common."""

from __future__ import annotations

import itertools
import os
from typing import Final

_process = ""
_numbers: Final = itertools.count(int.from_bytes(os.urandom(3), "big"))


def _name_process() -> None:
    """Begin the ids of this process's requests as those of no other begin."""
    global _process  # noqa: PLW0603
    _process = os.urandom(4).hex()


_name_process()
os.register_at_fork(after_in_child=_name_process)  # workers are forked from one that loaded this


def new_request_id() -> str:
    """16 hexadecimal digits that no other request of this machine has soon."""
    return f"{_process}{next(_numbers) & 0xFFFFFFFF:08x}"
