"""Encrypted columns for SQLAlchemy that are found by their values: Core, ORM and asyncio.

    from mycelium_fractal_net.integrations.sqlalchemy import Encrypted, configure

docs/searching.md says what a search gives away. Importing this checks every statement that
SQLAlchemy executes in this process for what an encrypted column cannot do.
"""

from mycelium_fractal_net.columns.fernet import Fernet
from mycelium_fractal_net.columns.plaintext import Plaintext
from mycelium_fractal_net.integrations.application import configure
from mycelium_fractal_net.integrations.fields import RefusedQueryError, plaintext_read
from mycelium_fractal_net.integrations.sqlalchemy import constraints as _constraints  # noqa: F401
from mycelium_fractal_net.integrations.sqlalchemy import listening as _listening  # noqa: F401
from mycelium_fractal_net.integrations.sqlalchemy.comparing import may_equal
from mycelium_fractal_net.integrations.sqlalchemy.encrypted import Encrypted
from mycelium_fractal_net.integrations.sqlalchemy.stored_tag import tag_of
from mycelium_fractal_net.legacy.source import XorCipher

__all__ = [
    "Encrypted",
    "Fernet",
    "Plaintext",
    "RefusedQueryError",
    "XorCipher",
    "configure",
    "may_equal",
    "plaintext_read",
    "tag_of",
]
