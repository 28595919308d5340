"""FIPS mode of a process: :func:`start` it before anything uses ``cryptography``.

    import mycelium_fractal_net.fips

    mycelium_fractal_net.fips.start()       # by the settings that the environment names
    from mycelium_fractal_net import open_keyring

``mfn``, its service and ``uvicorn mycelium_fractal_net.api:app`` do so by themselves, and so do
``from mycelium_fractal_net import open_keyring`` and ``from mycelium_fractal_net.client import
Client`` where the environment's settings ask for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.errors import ConfigurationError
from mycelium_fractal_net.security.fips.installed import InstalledModule, install, read
from mycelium_fractal_net.security.fips.process import Proof, proven
from mycelium_fractal_net.security.fips.process import start as start_process

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.config import Settings

__all__ = ["InstalledModule", "Proof", "install_module", "installed_module", "proven", "start"]


def folder_of(settings: Settings) -> Path:
    """Where the module is installed: ``fips`` in the home folder."""
    return settings.home / "fips"


def start(settings: Settings | None = None) -> Proof:
    """Set the installed module up in this process and prove it, once.

    Raises :class:`FipsModeError`, and :class:`ConfigurationError` where the settings are wrong.
    """
    return start_process(folder_of(settings or load_settings()))


def start_by_environment() -> None:
    """:func:`start`, where the environment's settings ask for it.

    Settings that are wrong are told by whoever uses them. Raises :class:`FipsModeError`.
    """
    try:
        settings = load_settings()
    except ConfigurationError:
        return
    if settings.security.fips_mode:
        start(settings)


def install_module(source: Path, sha256: str, settings: Settings) -> InstalledModule:
    """Install a provider's file, see :func:`.security.fips.installed.install`."""
    return install(source, sha256, folder_of(settings))


def installed_module(settings: Settings) -> InstalledModule:
    """What is installed, see :func:`.security.fips.installed.read`."""
    return read(folder_of(settings))
