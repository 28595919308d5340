"""The key store: wrapped keys, their versions and policies, and credentials.

It knows no cryptography. What comes out is not yet trusted: the provider checks each
record's MAC (:mod:`.authority`).
"""

from __future__ import annotations

from mycelium_fractal_net.security.key_store.audit_table import AuditTable
from mycelium_fractal_net.security.key_store.backup_table import BackupTable
from mycelium_fractal_net.security.key_store.credential_table import CredentialTable
from mycelium_fractal_net.security.key_store.key_table import KeyTable
from mycelium_fractal_net.security.key_store.signer_table import SignerTable

__all__ = ["KeyStore"]


class KeyStore(KeyTable, CredentialTable, SignerTable, AuditTable, BackupTable):
    """Every table of a store that grants authority, over one :class:`Database`."""
