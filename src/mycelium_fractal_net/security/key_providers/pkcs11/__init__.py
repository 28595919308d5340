"""Master keys, and signing keys, on an HSM that a PKCS #11 library reaches.

From the outside in: :mod:`.custodian` keeps a store's keys; :mod:`.master_keys` knows which keys of
a token are the store's; :mod:`.token` has a session for each thread and one login for all;
:mod:`.session` turns Python's bytes into C and back; :mod:`.library` is the library, which a
process has once; :mod:`.cryptoki` and :mod:`.codes` are the standard's structures and numbers.
"""

from __future__ import annotations

from mycelium_fractal_net.security.key_providers.pkcs11.custodian import PKCS11Custodian
from mycelium_fractal_net.security.key_providers.pkcs11.pin import PinSource
from mycelium_fractal_net.security.key_providers.pkcs11.uri import Pkcs11Uri, parse_uri
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider

__all__ = ["PKCS11Custodian", "PKCS11KeyProvider", "PinSource", "Pkcs11Uri", "parse_uri"]


class PKCS11KeyProvider(StoredKeyProvider):
    """The plan's key provider over an HSM."""
