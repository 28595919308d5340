"""What SIGHUP means: a terminal that closes, or without one, a certificate to read again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mycelium_fractal_net.api.front_door.tls import serves_tls

if TYPE_CHECKING:
    from mycelium_fractal_net.config import Settings

__all__ = ["asks_for_the_certificate"]


def asks_for_the_certificate(settings: Settings) -> bool:
    """Whether SIGHUP has the certificate read again; otherwise it ends the service.

    It does where TLS is served and no terminal holds this process, as under a service manager.
    """
    if not serves_tls(settings.security.tls):
        return False
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return True
    os.close(terminal)
    return False
