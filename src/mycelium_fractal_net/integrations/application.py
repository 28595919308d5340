"""The keyring of an application, which libraries reach that cannot be handed one.

One for each process, opened late: a model is imported long before a configuration is read, and by
tools that need no key at all. So nothing is opened until the first value is stored, opened or
searched for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.forking import in_child

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring


__all__ = ["configure"]


def _by_configuration() -> Keyring:
    from mycelium_fractal_net.bootstrap import open_keyring

    return open_keyring()


class _Application:
    """What this process was told, and what it opened; a child of fork(2) goes on with it."""

    def __init__(self) -> None:
        self.opened: Keyring | None = None
        self.opens: Callable[[], Keyring] | None = None
        self.default: Callable[[], Keyring] = _by_configuration
        self.lock = threading.Lock()
        in_child(self, _Application.renew)

    def renew(self) -> None:
        """Another thread may have held the lock as the process was forked."""
        self.lock = threading.Lock()

    def open(self) -> Keyring:
        with self.lock:
            if self.opened is None:
                self.opened = (self.opens or self.default)()
            return self.opened


APPLICATION: Final = _Application()


def by_default(opens: Callable[[], Keyring]) -> None:
    """What opens the keyring where :func:`configure` says nothing: a framework's own settings."""
    APPLICATION.default = opens


def configure(keyring: Keyring | Callable[[], Keyring] | None) -> None:
    """Say which keyring the integrations use: it, or what opens it when it is needed.

    None forgets it, and closes nothing: close what you opened. Where nothing was said
    ``open_keyring()`` opens the one of the configuration.
    """
    with APPLICATION.lock:
        if keyring is None or not callable(keyring):
            APPLICATION.opened, APPLICATION.opens = keyring, None
        else:
            APPLICATION.opened, APPLICATION.opens = None, keyring


def application_keyring() -> Keyring:
    """The keyring of this process, opened where it was not yet. Raises what its opening does."""
    found = APPLICATION.opened
    return APPLICATION.open() if found is None else found
