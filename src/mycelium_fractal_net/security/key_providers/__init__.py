"""Key providers: the plan's interface, and one file for each custodian of a master key."""

from mycelium_fractal_net.security.key_providers.base import Binding, Custodian, KeyProvider
from mycelium_fractal_net.security.key_providers.local import LocalCustodian, LocalKeyProvider
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider

__all__ = [
    "Binding",
    "Custodian",
    "KeyProvider",
    "LocalCustodian",
    "LocalKeyProvider",
    "StoredKeyProvider",
]
