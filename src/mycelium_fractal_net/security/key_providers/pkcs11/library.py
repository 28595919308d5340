"""A library of PKCS #11 in this process: loaded once, initialised once, shared by all who use it.

- Calls run side by side (``CKF_OS_LOCKING_OK``), or one at a time where the library has no locks.
- Each use belongs to a *generation*. Handles of an earlier one mean nothing any more. A new one
  begins when the library is finalised and initialised again, which waits until no call is under
  way, and in a child process, where what the parent initialised cannot be used.
- A call cannot be interrupted. One that does not return is left to its thread; while there is one,
  the library is not initialised anew.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from typing import Any, Final

from mycelium_fractal_net.security.errors import ConfigurationError, CustodianUnavailableError
from mycelium_fractal_net.security.key_providers.pkcs11 import codes, cryptoki
from mycelium_fractal_net.security.key_providers.pkcs11.codes import TokenError
from mycelium_fractal_net.security.key_providers.pkcs11.read_write_lock import ReadWriteLock

_WAIT_SECONDS: Final = 5.0  # for others to be done, before it is said that they are not
_FORK_SECONDS: Final = 1.0  # for calls to end before a fork, which copies their locks


class Library:
    """One library. Have it by :func:`library_at`."""

    def __init__(self, path: str, functions: cryptoki.FunctionList) -> None:
        self.path = path
        self._functions = functions
        self._lock = ReadWriteLock()
        self._serial: threading.Lock | None = None
        self._generation = 0
        self._initialised = False
        self._inherited = False
        self._of_another = False

    @property
    def generation(self) -> int:
        """The present one."""
        return self._generation

    @property
    def calls_under_way(self) -> int:
        """How many threads are in it."""
        return self._lock.using

    @contextlib.contextmanager
    def using(self) -> Iterator[int]:
        """Be in the library within the block; gives its generation."""
        if not self._initialised:
            self._initialise()
        with self._lock.read(_WAIT_SECONDS):
            yield self._generation

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function within :meth:`using`. Raises :class:`TokenError`."""
        code = self.code_of(function, *arguments)
        if code != codes.OK:
            raise TokenError(function, code)

    def code_of(self, function: str, *arguments: Any) -> int:
        """What a function answers."""
        pointer = getattr(self._functions, function)
        if not pointer:
            return codes.FUNCTION_NOT_SUPPORTED
        with self._serial or contextlib.nullcontext():
            return int(pointer(*arguments))

    def begin_anew(self, generation: int) -> None:
        """Finalise and initialise it, unless another thread did since that generation.

        A library that somebody else in this process had initialised is left to him. Raises
        :class:`CustodianUnavailableError` where calls under way do not end.
        """
        with self._lock.write(_WAIT_SECONDS):
            if self._generation != generation:
                return
            self._generation += 1
            if not self._of_another:
                self._finalise()
                self._initialise_locked()

    def _initialise(self) -> None:
        with self._lock.write(_WAIT_SECONDS):
            if not self._initialised:
                self._initialise_locked()

    def _initialise_locked(self) -> None:
        flags = cryptoki.CKF_OS_LOCKING_OK if self._serial is None else 0
        code = self._initialised_with(flags)
        if code == codes.CANT_LOCK:
            self._serial = threading.Lock()
            code = self._initialised_with(0)
        if code == codes.ALREADY_INITIALIZED and self._inherited:
            # A copy of what the parent had: sessions of a process that is not this one.
            self._finalise()
            code = self._initialised_with(flags)
        self._of_another = code == codes.ALREADY_INITIALIZED
        if code not in (codes.OK, codes.ALREADY_INITIALIZED):
            raise CustodianUnavailableError(
                f"the HSM's library does not start (CKR_{codes.name_of(code)})"
            )
        self._initialised, self._inherited = True, False

    def _initialised_with(self, flags: int) -> int:
        arguments = cryptoki.InitializeArgs(flags=flags)
        return self.code_of("C_Initialize", ctypes.byref(arguments))

    def _finalise(self) -> None:
        self._initialised = False
        self.code_of("C_Finalize", None)

    # Around it ----------------------------------------------------------------------------

    def _at_exit(self) -> None:
        """Let the HSM know, where nothing is under way."""
        with contextlib.suppress(CustodianUnavailableError), self._lock.write(0.0):
            if self._initialised and not self._of_another:
                self._finalise()

    def _in_child(self) -> None:
        self._lock = ReadWriteLock()
        self._serial = threading.Lock() if self._serial is not None else None
        self._generation += 1
        self._inherited = self._inherited or self._initialised
        self._initialised = False


class _Loaded:
    """The libraries of this process, by path."""

    def __init__(self) -> None:
        self.libraries: dict[str, Library] = {}
        self.lock = threading.Lock()


_loaded: Final = _Loaded()


class _Forking(threading.local):
    def __init__(self) -> None:
        self.held = contextlib.ExitStack()


_forking: Final = _Forking()


def library_at(path: str) -> Library:
    """The library of that path, which this process has once. Raises :class:`ConfigurationError`."""
    real = os.path.realpath(path)
    with _loaded.lock:
        if real not in _loaded.libraries:
            try:
                functions = cryptoki.function_list(real)
            except OSError:
                raise ConfigurationError(
                    f"module-path of MFN_PKCS11_URI: {path} is not there, or is no library of"
                    " PKCS #11 for this machine"
                ) from None
            _loaded.libraries[real] = Library(real, functions)
        return _loaded.libraries[real]


def _before_fork() -> None:
    """Have no thread in a library: its locks are copied as they are."""
    for each in list(_loaded.libraries.values()):
        with contextlib.suppress(CustodianUnavailableError):
            _forking.held.enter_context(each._lock.write(_FORK_SECONDS))


def _after_in_parent() -> None:
    _forking.held.close()


def _after_in_child() -> None:
    _loaded.lock = threading.Lock()
    _forking.held.pop_all()  # locks of the parent's
    for each in _loaded.libraries.values():
        each._in_child()


def _at_exit() -> None:
    for each in _loaded.libraries.values():
        each._at_exit()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
atexit.register(_at_exit)
