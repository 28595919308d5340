"""When a credential's secret was last renewed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Bring a store of schema 0001 to 0002. What is there is kept as it is."""
    op.add_column("credentials", sa.Column("rotated_at", sa.BigInteger, nullable=True))
