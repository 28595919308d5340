"""Key providers: the plan's interface, and one file for each custodian of a master key."""

from mycelium_fractal_net.security.key_providers.custodian import (
    Binding,
    Custodian,
    CustodianStatus,
    ManagesMasterKeys,
    SigningCustodian,
    SigningKeyReference,
    signing_key_name,
    signing_key_prefix,
)
from mycelium_fractal_net.security.key_providers.local import LocalCustodian, LocalKeyProvider
from mycelium_fractal_net.security.key_providers.stored import KeyProvider, StoredKeyProvider

__all__ = [
    "Binding",
    "Custodian",
    "CustodianStatus",
    "KeyProvider",
    "LocalCustodian",
    "LocalKeyProvider",
    "ManagesMasterKeys",
    "SigningCustodian",
    "SigningKeyReference",
    "StoredKeyProvider",
    "signing_key_name",
    "signing_key_prefix",
]
