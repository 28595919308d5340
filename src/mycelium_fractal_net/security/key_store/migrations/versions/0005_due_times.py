"""Due times of keys, and where the slow pass over all keys has come to."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Bring a store of schema 0004 to 0005. What is there is kept, and stays authentic.

    Keys of before are due at 0: the next look of a scheduler verifies each and says when.
    """
    op.add_column(
        "mfn_keys", sa.Column("due_at", sa.BigInteger, nullable=True, server_default=sa.text("0"))
    )
    op.create_index("ix_mfn_keys_due_at", "mfn_keys", ["due_at"])
    op.create_index("ix_mfn_raw_usage_reserved", "mfn_raw_usage", ["reserved"])
    op.create_index(
        "ix_mfn_credentials_renewed_at",
        "mfn_credentials",
        [sa.text("coalesce(rotated_at, created_at)")],
    )
    op.add_column(
        "mfn_scheduler_clock",
        sa.Column("passed_to", sa.String(64), nullable=False, server_default=""),
    )
