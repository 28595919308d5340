"""Where the private key of a signing key is that never leaves its custodian."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Bring a store of schema 0010 to 0011. What is there is kept, and stays authentic."""
    op.add_column("mfn_key_versions", sa.Column("external", sa.String(600), nullable=True))
    op.add_column("mfn_key_versions", sa.Column("external_gone_at", sa.BigInteger, nullable=True))
