"""FIPS mode in this process: set up before anything imports ``cryptography``, then proven.

The order counts. Python's own OpenSSL reads its configuration first; then ``OPENSSL_CONF`` names
ours while that of ``cryptography`` starts, and is unset again: left there, it would break ``ssl``,
psycopg and PKCS #11 modules, which have an OpenSSL of their own. A child by fork has what its
parent has. Every other process begins with the default provider, and does all of this itself.

The policy asks here, in every command: what setting up needs is imported when that is done.
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mycelium_fractal_net.security.errors import FipsModeError

if TYPE_CHECKING:
    from mycelium_fractal_net.security.fips.installed import InstalledModule

_VARIABLE: Final = "OPENSSL_CONF"
_BINDING: Final = "cryptography.hazmat.bindings._rust"
_AT_SECURE: Final = 23  # see getauxval(3)
_REASONS: Final = {
    "module integrity failure": "its integrity check failed: the file is not what its MAC says",
    "missing config data": "its configuration has no MAC",
    "could not load": "the file cannot be loaded as a provider",
    "self test": "one of its self-tests failed",
}
_lock: Final = threading.Lock()
_proofs: Final[list[Proof]] = []  # of this process: one, or none


class Proof(NamedTuple):
    """What does the cryptography of this process, and what was asked of it to know that.

    ``proven`` names each known answer that it gave and each algorithm that it refused.
    """

    module: InstalledModule
    proven: tuple[str, ...]
    proven_at: str

    def shape(self) -> dict[str, Any]:
        """It as JSON."""
        return {
            "module": str(self.module.file),
            "version": self.module.version,
            "sha256": self.module.sha256,
            "proven": list(self.proven),
            "proven_at": self.proven_at,
        }


def proven() -> Proof | None:
    """The proof of this process; None where it does not run on a FIPS provider."""
    return _proofs[0] if _proofs else None


def require() -> Proof:
    """The proof of this process. Raises :class:`FipsModeError` without one."""
    if not _proofs:
        raise FipsModeError(
            "FIPS mode is asked for, and this process was not set up for it before it began to use"
            " cryptography: call mycelium_fractal_net.fips.start() first, or set MFN_FIPS_MODE"
        )
    return _proofs[0]


def start(folder: Path) -> Proof:
    """Set the installed module up in this process, and prove it; once, whoever calls.

    Raises :class:`FipsModeError` where anything is not as it must be, also where ``cryptography``
    was imported already. The process is then of no use for FIPS mode, and should end.
    """
    with _lock:
        if not _proofs:
            from mycelium_fractal_net.security.fips.installed import read

            _check_process()
            module = read(folder)
            seen = _load(module)
            _proofs.append(Proof(module, (*_prove(module), *seen), _now()))
        return _proofs[0]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _check_process() -> None:
    if _BINDING in sys.modules:
        raise FipsModeError(
            "something imported the package cryptography before FIPS mode was set up; what it made"
            " then would go on outside of the FIPS provider"
        )
    if _VARIABLE in os.environ:
        raise FipsModeError(
            f"{_VARIABLE} is set, and would decide what OpenSSL loads; unset it: FIPS mode brings"
            " its own configuration"
        )
    if _is_privileged():
        raise FipsModeError(
            "this Python has file capabilities, or runs under another user id (AT_SECURE), and"
            " OpenSSL then passes over a configuration that is named in the environment"
        )


def _is_privileged() -> bool:
    """As the C library was told: such a process cannot read its own /proc/self/auxv."""
    import ctypes

    ask = ctypes.CDLL(None).getauxval
    ask.restype, ask.argtypes = ctypes.c_ulong, (ctypes.c_ulong,)
    return bool(ask(_AT_SECURE))


def _load(module: InstalledModule) -> tuple[str, ...]:
    from mycelium_fractal_net.security.fips.python_openssl import load

    seen = load(module.for_python)  # first: it reads a configuration of its own, and not ours
    os.environ[_VARIABLE] = str(module.configuration)
    try:
        from cryptography.hazmat.backends.openssl.backend import backend
    finally:
        del os.environ[_VARIABLE]
    try:
        backend._enable_fips()
    except Exception as error:
        told = str(error).lower()
        reason = next((text for said, text in _REASONS.items() if said in told), None)
        raise FipsModeError(
            "the FIPS module does not load" + ("" if reason is None else f": {reason}")
        ) from None
    return seen


def _prove(module: InstalledModule) -> tuple[str, ...]:
    from mycelium_fractal_net.security.fips.probes import known_answers, refusals

    asked = (*known_answers(), *refusals())
    files = {os.path.realpath(module.file), os.path.realpath(module.for_python.with_suffix(".so"))}
    if not files <= _mapped():
        raise FipsModeError("another file than the installed FIPS module was loaded")
    return asked


def _mapped() -> set[str]:
    """The files of which this process has parts in memory."""
    try:
        lines = os.fsdecode(Path("/proc/self/maps").read_bytes()).splitlines()
    except OSError:
        raise FipsModeError(
            "/proc/self/maps cannot be read, which shows what this process has loaded"
        ) from None
    return {line.split(maxsplit=5)[5] for line in lines if line.count("/")}
