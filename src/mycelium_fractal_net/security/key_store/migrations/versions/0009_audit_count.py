"""How many chains of audit records were ever begun, and faults that an operator knows of."""

import sqlalchemy as sa
from alembic import op

from mycelium_fractal_net.security.key_store.schema import Octets

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Bring a store of schema 0008 to 0009. ``mfn init`` counts the chains that there are."""
    op.create_table(
        "mfn_audit_count",
        sa.Column("number", sa.Integer, autoincrement=False),
        sa.Column("chains", sa.BigInteger, nullable=False),
        sa.Column("tag", Octets(32), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_mfn_audit_count"),
    )
    op.create_table(
        "mfn_audit_acknowledged",
        sa.Column("chain_id", sa.String(32)),
        sa.Column("sequence", sa.BigInteger, autoincrement=False),
        sa.Column("what", sa.String(200)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.String(80), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("tag", Octets(32), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "sequence", "what", name="pk_mfn_audit_acknowledged"),
    )
