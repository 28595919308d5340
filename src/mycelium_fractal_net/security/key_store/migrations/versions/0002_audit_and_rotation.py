"""When a credential's secret was last renewed; the audit log's key and chains."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Bring a store of schema 0001 to 0002. What is there is kept as it is."""
    op.add_column("mfn_credentials", sa.Column("rotated_at", sa.BigInteger, nullable=True))
    op.create_table(
        "mfn_audit_keys",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("master_id", sa.String(200), nullable=False),
    )
    op.create_table(
        "mfn_audit_chains",
        sa.Column("chain_id", sa.String(32), primary_key=True),
        sa.Column("machine", sa.String(32), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("mac", sa.LargeBinary(32), nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("open_from", sa.BigInteger, nullable=True),
        sa.Column("tag", sa.LargeBinary(32), nullable=False),
    )
