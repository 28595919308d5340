"""Python's own OpenSSL, which does TLS and ``hashlib``: it gets a FIPS module of its own."""

from __future__ import annotations

import _hashlib
import _ssl
import contextlib
import ctypes
import os
import ssl
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import FipsModeError

if TYPE_CHECKING:
    from pathlib import Path

_LOAD_CONFIG: Final = 0x40  # OPENSSL_INIT_LOAD_CONFIG
# The extension supported_groups of P-256 and P-384, and of nothing else (RFC 8446 section 4.2.7).
_GROUPS: Final = bytes.fromhex("000a 0006 0004 0017 0018")


def load(configuration: Path) -> tuple[str, ...]:
    """Activate what ``configuration`` describes; returns what was seen of it.

    Raises :class:`FipsModeError`, also where TLS was used in this process before.
    """
    try:
        library = ctypes.CDLL(_ssl.__file__)  # symbols of what it is linked with are found as well
        begin = library.OPENSSL_init_crypto
        load_config = library.OSSL_LIB_CTX_load_config
        enable = library.EVP_default_properties_enable_fips
        available = library.OSSL_PROVIDER_available
    except (AttributeError, OSError):
        raise FipsModeError(
            "the OpenSSL of this Python cannot be given a FIPS module: it is none of version 3, or"
            " is built into the interpreter"
        ) from None
    begin.argtypes = (ctypes.c_uint64, ctypes.c_void_p)
    load_config.argtypes = available.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    enable.argtypes = (ctypes.c_void_p, ctypes.c_int)
    begin(_LOAD_CONFIG, None)  # first: it reads a configuration of its own once, and not after ours
    loaded = load_config(None, os.fsencode(configuration)) == 1 and enable(None, 1) == 1
    # One that fails its integrity check is passed over in silence.
    if not loaded or available(None, b"fips") != 1:
        raise FipsModeError("the FIPS module does not load into the OpenSSL of this Python")
    return _prove(library)


def _prove(library: Any) -> tuple[str, ...]:
    goes_on = FipsModeError("the OpenSSL of this Python has a FIPS module, and goes on without it")
    try:
        _hashlib.openssl_md5(b"", usedforsecurity=True)
    except ValueError:
        pass
    else:
        raise goes_on
    if _generator(library) != b"fips":
        raise FipsModeError(
            "something used TLS, or took random bytes from the OpenSSL of this Python, before FIPS"
            " mode was set up; what it made then would go on outside of the FIPS provider"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    suites = [each["name"] for each in context.get_ciphers()]
    if not suites or any("CHACHA20" in name for name in suites) or _GROUPS not in _hello(context):
        raise goes_on
    return (
        "MD5 is refused by the OpenSSL of Python, which does TLS",
        "ChaCha20-Poly1305 is not offered by TLS",
        "P-256 and P-384 alone are offered by TLS",
    )


def _generator(library: Any) -> bytes:
    """Whose the random numbers of TLS are: they are made ready once, for as long as it runs."""
    of = [ctypes.c_void_p]
    primary, kind = library.RAND_get0_primary, library.EVP_RAND_CTX_get0_rand
    provider, name = library.EVP_RAND_get0_provider, library.OSSL_PROVIDER_get0_name
    primary.restype = kind.restype = provider.restype = ctypes.c_void_p
    name.restype = ctypes.c_char_p
    primary.argtypes = kind.argtypes = provider.argtypes = name.argtypes = of
    made = primary(None)
    return bytes(name(provider(kind(made)))) if made else b""


def _hello(context: ssl.SSLContext) -> bytes:
    """What a client says first."""
    said = ssl.MemoryBIO()
    ending = context.wrap_bio(ssl.MemoryBIO(), said, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        ending.do_handshake()
    return said.read()
