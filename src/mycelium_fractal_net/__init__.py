"""Keys, encryption and signed requests for Python services.

    from mycelium_fractal_net import open_keyring

    with open_keyring() as keyring:
        sealed = keyring.encrypt(b"...", key_id="orders", associated_data=b"row 17")
        keyring.decrypt(sealed, associated_data=b"row 17")

Importing this package is cheap: what a name needs is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mycelium_fractal_net.bootstrap import initialise, open_keyring
    from mycelium_fractal_net.files.recipients import (
        open_file_with,
        open_reader_with,
        open_stream_with,
        open_with,
        open_writer_to,
        read_identities,
        read_recipients,
        seal_file_to,
        seal_identity,
        seal_stream_to,
        seal_to,
    )
    from mycelium_fractal_net.security.aes_encryption import decrypt_aes_gcm, encrypt_aes_gcm
    from mycelium_fractal_net.security.errors import (
        DecryptionError,
        InvalidSignatureError,
        KeyNotFoundError,
        KeyStateError,
        MfnError,
        StoreError,
    )
    from mycelium_fractal_net.security.hardening import harden_process
    from mycelium_fractal_net.security.keyring.keyring import Keyring, MessageInfo
    from mycelium_fractal_net.security.keyring.lookups import BlindIndex
    from mycelium_fractal_net.security.keyring.signing import Signature
    from mycelium_fractal_net.security.records.keys import (
        Key,
        KeyState,
        KeyType,
        RotationPolicy,
        Verb,
    )
    from mycelium_fractal_net.security.records.open_options import OpenOptions
    from mycelium_fractal_net.security.sealed.recipients import Recipient, RecipientKey

__version__ = "4.1.0"

_HOMES = {
    "bootstrap": ("initialise", "open_keyring"),
    "files.recipients": (
        "open_file_with",
        "open_reader_with",
        "open_stream_with",
        "open_with",
        "open_writer_to",
        "read_identities",
        "read_recipients",
        "seal_file_to",
        "seal_identity",
        "seal_stream_to",
        "seal_to",
    ),
    "security.aes_encryption": ("decrypt_aes_gcm", "encrypt_aes_gcm"),
    "security.errors": (
        "DecryptionError",
        "InvalidSignatureError",
        "KeyNotFoundError",
        "KeyStateError",
        "MfnError",
        "StoreError",
    ),
    "security.hardening": ("harden_process",),
    "security.keyring.keyring": ("Keyring", "MessageInfo"),
    "security.keyring.lookups": ("BlindIndex",),
    "security.keyring.signing": ("Signature",),
    "security.records.keys": ("Key", "KeyState", "KeyType", "RotationPolicy", "Verb"),
    "security.records.open_options": ("OpenOptions",),
    "security.sealed.recipients": ("Recipient", "RecipientKey"),
}
_WITHOUT_CRYPTOGRAPHY = ("security.errors", "security.hardening", "security.records.keys")
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BlindIndex",
    "DecryptionError",
    "InvalidSignatureError",
    "Key",
    "KeyNotFoundError",
    "KeyState",
    "KeyStateError",
    "KeyType",
    "Keyring",
    "MessageInfo",
    "MfnError",
    "OpenOptions",
    "Recipient",
    "RecipientKey",
    "RotationPolicy",
    "Signature",
    "StoreError",
    "Verb",
    "__version__",
    "decrypt_aes_gcm",
    "encrypt_aes_gcm",
    "harden_process",
    "initialise",
    "open_file_with",
    "open_keyring",
    "open_reader_with",
    "open_stream_with",
    "open_with",
    "open_writer_to",
    "read_identities",
    "read_recipients",
    "seal_file_to",
    "seal_identity",
    "seal_stream_to",
    "seal_to",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if home not in _WITHOUT_CRYPTOGRAPHY:
        from mycelium_fractal_net.fips import start_by_environment

        start_by_environment()
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
