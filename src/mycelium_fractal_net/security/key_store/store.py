"""The key store: wrapped keys, their versions and policies, credentials and signers.

It knows no cryptography. What comes out is not yet trusted: the provider checks each
record's MAC (:mod:`.authority`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.security.key_store.audit_table import AuditTable
from mycelium_fractal_net.security.key_store.backup_table import BackupTable
from mycelium_fractal_net.security.key_store.finding_table import FindingTable
from mycelium_fractal_net.security.key_store.import_table import ImportTable
from mycelium_fractal_net.security.key_store.key_table import KeyTable
from mycelium_fractal_net.security.key_store.kinds import CREDENTIALS, SIGNERS
from mycelium_fractal_net.security.key_store.record_table import RecordTable

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_store.database import Database
    from mycelium_fractal_net.security.records.credentials import Credential
    from mycelium_fractal_net.security.records.signers import Signer


class KeyStore(AuditTable, BackupTable, FindingTable):
    """Every table of a store that grants authority, over one :class:`Database`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.keys = KeyTable(self)
        self.credentials: RecordTable[Credential] = RecordTable(self, CREDENTIALS)
        self.signers: RecordTable[Signer] = RecordTable(self, SIGNERS)
        self.imports = ImportTable(self)
