"""Where keys are kept: SQLAlchemy tables on SQLite or PostgreSQL, trusted with nothing."""

from mycelium_fractal_net.security.key_store.database import Database
from mycelium_fractal_net.security.key_store.meta import StoreStatus
from mycelium_fractal_net.security.key_store.nonce_table import NonceStore
from mycelium_fractal_net.security.key_store.record_table import Stored
from mycelium_fractal_net.security.key_store.store import KeyStore
from mycelium_fractal_net.security.key_store.usage import UsageStore

__all__ = ["Database", "KeyStore", "NonceStore", "StoreStatus", "Stored", "UsageStore"]
