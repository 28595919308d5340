"""HashiCorp Vault and OpenBao: the plan's provider, and the custodian behind it."""

from __future__ import annotations

from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider
from mycelium_fractal_net.security.key_providers.vault.custodian import VaultCustodian

__all__ = ["VaultCustodian", "VaultKeyProvider"]


class VaultKeyProvider(StoredKeyProvider):
    """The plan's provider over a store whose master key is in Vault or OpenBao."""
