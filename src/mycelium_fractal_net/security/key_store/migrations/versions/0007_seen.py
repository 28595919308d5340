"""Up to when schedulers have seen the store's clock; an index of versions by their state."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Bring a store of schema 0006 to 0007. Nothing is seen yet but the last look."""
    op.add_column("mfn_scheduler_clock", sa.Column("seen_until", sa.BigInteger, nullable=True))
    op.add_column("mfn_scheduler_clock", sa.Column("behind_since", sa.BigInteger, nullable=True))
    op.create_index("ix_mfn_key_versions_state", "mfn_key_versions", ["state"])
