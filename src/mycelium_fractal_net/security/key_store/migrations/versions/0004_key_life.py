"""Schedules of rotation, finished rewraps, backups, and what schedulers know together."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Bring a store of schema 0003 to 0004. What is there is kept, and stays authentic."""
    op.add_column(
        "mfn_keys", sa.Column("automatic", sa.Boolean, nullable=False, server_default=sa.true())
    )
    op.add_column("mfn_keys", sa.Column("rotate_at", sa.BigInteger, nullable=True))
    op.add_column("mfn_key_versions", sa.Column("rewrapped_at", sa.BigInteger, nullable=True))
    op.add_column("mfn_store_meta", sa.Column("restored_at", sa.BigInteger, nullable=True))
    op.add_column("mfn_store_meta", sa.Column("restored_from", sa.String(32), nullable=True))
    op.add_column("mfn_audit_chains", sa.Column("restored_from", sa.String(32), nullable=True))
    op.create_table(
        "mfn_rotation_failures",
        sa.Column("key_id", sa.String(64), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("retry_at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
    )
    op.create_table(
        "mfn_scheduler_clock",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("looked_at", sa.BigInteger, nullable=False),
        sa.Column("held_until", sa.BigInteger, nullable=True),
    )
    op.create_table(
        "mfn_backups",
        sa.Column("backup_id", sa.String(32), primary_key=True),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("master_id", sa.String(200), nullable=False),
    )
    op.create_table(
        "mfn_backed_up_versions",
        sa.Column("handle", sa.LargeBinary(8), primary_key=True),
        sa.Column("backup_id", sa.String(32), nullable=False),
    )
