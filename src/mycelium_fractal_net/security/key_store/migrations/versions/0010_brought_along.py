"""Keys that are brought along: which versions were, which keys may leave, and what is under way."""

import sqlalchemy as sa
from alembic import op

from mycelium_fractal_net.security.key_store.schema import Octets

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Bring a store of schema 0009 to 0010. What is there is kept, and stays authentic."""
    op.add_column(
        "mfn_keys", sa.Column("exportable", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column(
        "mfn_key_versions",
        sa.Column("imported", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "mfn_pending_imports",
        sa.Column("import_id", sa.String(32)),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("existing", sa.Boolean, nullable=False),
        sa.Column("key_type", sa.String(16), nullable=False),
        sa.Column("use", sa.String(16), nullable=False),
        sa.Column("algorithm", sa.String(32), nullable=False),
        sa.Column("publish", sa.Boolean, nullable=False),
        sa.Column("exportable", sa.Boolean, nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("public_key", Octets, nullable=False),
        sa.Column("wrapped", Octets, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("master_id", sa.String(200), nullable=False),
        sa.Column("mac", Octets, nullable=False),
        sa.PrimaryKeyConstraint("import_id", name="pk_mfn_pending_imports"),
    )
    op.create_index("ix_mfn_pending_imports_expires_at", "mfn_pending_imports", ["expires_at"])
