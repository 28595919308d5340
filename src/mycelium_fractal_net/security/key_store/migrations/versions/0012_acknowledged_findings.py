"""Findings of doctor that an operator lives with until a day."""

import sqlalchemy as sa
from alembic import op

from mycelium_fractal_net.security.key_store.schema import Octets

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Bring a store of schema 0011 to 0012. What is there is kept."""
    op.create_table(
        "mfn_acknowledged_findings",
        sa.Column("finding", sa.String(64)),
        sa.Column("subject", sa.String(600)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.String(80), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("tag", Octets(32), nullable=False),
        sa.PrimaryKeyConstraint("finding", "subject", name="pk_mfn_acknowledged_findings"),
    )
