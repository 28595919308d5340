"""Where the PIN of a token comes from: a file, or whoever is asked; never a URI or an argument.

``pin-source`` is an absolute path, the same as a ``file:`` URI, or ``$CREDENTIALS_DIRECTORY/NAME``
(systemd's ``LoadCredential``). Without one, the file ``mfn-pkcs11-pin`` of that folder, or who is
asked. The PIN is the file's first line. It is read for each login and kept nowhere; a PIN that a
token refused is known by what names it, not by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from mycelium_fractal_net.security.byte_io.delivered import delivered
from mycelium_fractal_net.security.byte_io.private import check_private
from mycelium_fractal_net.security.errors import ConfigurationError, MasterKeyError

CREDENTIAL: Final = "mfn-pkcs11-pin"
_IN_CREDENTIALS: Final = "$CREDENTIALS_DIRECTORY/"
_MOST_BYTES: Final = 256

AskPin = Callable[[], bytes]


class Pin(NamedTuple):
    """A PIN, and what tells whether it is another than before. ``repr`` shows neither."""

    pin: bytes
    identity: tuple[object, ...]

    def __repr__(self) -> str:
        return "Pin(...)"


class PinSource:
    """What gives the PIN: a file, or a function that is asked for each login.

    ``source`` is the URI's ``pin-source``; ``credentials`` the folder of systemd's credentials.
    Raises :class:`ConfigurationError`.
    """

    def __init__(
        self, source: str | None, *, credentials: Path | None = None, ask: AskPin | None = None
    ) -> None:
        self._ask = ask
        self.path = _path(source, credentials)

    def is_there(self) -> bool:
        """Whether a file is named, so that nobody needs to be asked."""
        return self.path is not None

    def read(self) -> Pin:
        """The PIN as it is now.

        Raises :class:`MasterKeyError` where there is none, and :class:`StorePermissionsError` where
        others may read it.
        """
        if self.path is not None:
            return _read(self.path)
        if self._ask is None:
            raise MasterKeyError(
                "the PIN of the HSM is not given: name its file in MFN_PKCS11_URI"
                f" (pin-source=/run/secrets/pin), or deliver it as the credential {CREDENTIAL}"
            )
        pin = _checked(self._ask())
        return Pin(pin, ("asked", hash(pin)))  # under a key of this process, as Python hashes

    def __repr__(self) -> str:
        return f"PinSource({self.path})"


def _path(source: str | None, credentials: Path | None) -> Path | None:
    if source is None:
        found = None if credentials is None else credentials / CREDENTIAL
        return found if found is not None and found.exists() else None
    text = source.removeprefix("file:")
    if text.startswith("///"):  # file:///run/pin has an empty host (RFC 8089)
        text = text.removeprefix("//")
    if text.startswith(_IN_CREDENTIALS):
        if credentials is None:
            raise _wrong("names CREDENTIALS_DIRECTORY, which is not set")
        return credentials / text.removeprefix(_IN_CREDENTIALS)
    if not text.startswith("/") or text.startswith("//"):
        raise _wrong(f"is no absolute path, no file: URI and nothing in {_IN_CREDENTIALS}")
    return Path(text)


def _read(path: Path) -> Pin:
    try:
        if path.exists() and delivered(path) is None:
            check_private(path)
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 2)
            status = os.fstat(file.fileno())
    except OSError as error:
        raise MasterKeyError(
            f"the PIN of the HSM cannot be read from {path}: {error.strerror}"
        ) from None
    identity = (path, status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    return Pin(_checked(content.partition(b"\n")[0].removesuffix(b"\r")), identity)


def _checked(pin: bytes) -> bytes:
    """PKCS #11 takes any UTF-8; no bytes at all would ask the token for a keypad of its own."""
    if not pin or len(pin) > _MOST_BYTES:
        raise MasterKeyError(f"the PIN of the HSM is empty, or longer than {_MOST_BYTES} bytes")
    return pin


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(f"pin-source of MFN_PKCS11_URI {what}")
