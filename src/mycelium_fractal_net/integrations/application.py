"""The keyring of an application, which libraries reach that cannot be handed one.

It is opened when it is first asked for, by the settings that :func:`open_keyring` finds
(``MFN_HOME``, ``MFN_STORE``, a configuration file), or is the one that the application gave.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mycelium_fractal_net.bootstrap import open_keyring
from mycelium_fractal_net.security.forking import in_child

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring


class _Application:
    """The one keyring of a process; a child of fork(2) goes on with it."""

    def __init__(self) -> None:
        self.keyring: Keyring | None = None
        self.lock = threading.Lock()
        in_child(self, _Application.renew)

    def renew(self) -> None:
        """Another thread may have held the lock as the process was forked."""
        self.lock = threading.Lock()


_APPLICATION = _Application()


def configure(keyring: Keyring | None) -> None:
    """Have the integrations use ``keyring`` in this process; with None what the settings name.

    The one before stays open: close what you opened.
    """
    with _APPLICATION.lock:
        _APPLICATION.keyring = keyring


def application_keyring() -> Keyring:
    """The keyring of this process. Raises what :func:`open_keyring` does."""
    with _APPLICATION.lock:
        if _APPLICATION.keyring is None:
            _APPLICATION.keyring = open_keyring()
        return _APPLICATION.keyring
