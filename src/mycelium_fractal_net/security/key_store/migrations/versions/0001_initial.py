"""The first tables: keys, versions, usage, credentials."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of schema 0001. There is no way down: a store is never thrown away."""
    op.create_table(
        "mfn_store_meta",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("master_id", sa.String(200), nullable=False),
    )
    op.create_table(
        "mfn_authority_keys",
        sa.Column("master_id", sa.String(200), primary_key=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "mfn_keys",
        sa.Column("key_id", sa.String(64), primary_key=True),
        sa.Column("key_type", sa.String(16), nullable=False),
        sa.Column("use", sa.String(16), nullable=False),
        sa.Column("algorithm", sa.String(32), nullable=False),
        sa.Column("publish", sa.Boolean, nullable=False),
        sa.Column("interval_days", sa.Integer, nullable=False),
        sa.Column("retain_count", sa.Integer, nullable=False),
        sa.Column("auto_destroy", sa.Boolean, nullable=False),
        sa.Column("unused_for_days", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("master_id", sa.String(200), nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_mfn_keys_generation", "mfn_keys", ["generation"])
    op.create_index("ix_mfn_keys_master_id", "mfn_keys", ["master_id"])
    op.create_table(
        "mfn_key_versions",
        sa.Column("handle", sa.LargeBinary(8), primary_key=True),
        sa.Column("key_id", sa.String(64), sa.ForeignKey("mfn_keys.key_id"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("compromised", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("activate_at", sa.BigInteger, nullable=True),
        sa.Column("destroy_at", sa.BigInteger, nullable=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=True),
        sa.UniqueConstraint("key_id", "version", name="uq_mfn_key_versions_key_id"),
    )
    op.create_table(
        "mfn_usage",
        sa.Column("handle", sa.LargeBinary(8), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "mfn_raw_usage",
        sa.Column("handle", sa.LargeBinary(8), primary_key=True),
        sa.Column("reserved", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "mfn_credentials",
        sa.Column("credential_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("previous_digest", sa.LargeBinary(32), nullable=True),
        sa.Column("previous_until", sa.BigInteger, nullable=True),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("master_id", sa.String(200), nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_mfn_credentials_generation", "mfn_credentials", ["generation"])
