"""Python's own OpenSSL, which does TLS and ``hashlib``: it gets a FIPS module of its own."""

from __future__ import annotations

import _hashlib
import _ssl
import ctypes
import os
import ssl
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import FipsModeError

if TYPE_CHECKING:
    from pathlib import Path


def load(configuration: Path) -> None:
    """Activate what ``configuration`` describes. Raises :class:`FipsModeError`."""
    ssl.create_default_context()  # it has read its own configuration by now
    try:
        library = ctypes.CDLL(_ssl.__file__)  # symbols of what it is linked with are found as well
        load_config = library.OSSL_LIB_CTX_load_config
        enable = library.EVP_default_properties_enable_fips
        available = library.OSSL_PROVIDER_available
    except (AttributeError, OSError):
        raise FipsModeError(
            "the OpenSSL of this Python cannot be given a FIPS module: it is none of version 3, or"
            " is built into the interpreter"
        ) from None
    load_config.argtypes = available.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    enable.argtypes = (ctypes.c_void_p, ctypes.c_int)
    loaded = load_config(None, os.fsencode(configuration)) == 1 and enable(None, 1) == 1
    # One that fails its integrity check is passed over in silence.
    if not loaded or available(None, b"fips") != 1:
        raise FipsModeError("the FIPS module does not load into the OpenSSL of this Python")
    try:
        _hashlib.openssl_md5(b"", usedforsecurity=True)
    except ValueError:
        return
    raise FipsModeError("the OpenSSL of this Python has a FIPS module, and goes on without it")
