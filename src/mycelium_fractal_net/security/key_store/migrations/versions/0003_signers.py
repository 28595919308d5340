"""Signers of requests, and the nonces of requests that were accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Bring a store of schema 0002 to 0003. What is there is kept as it is."""
    op.create_table(
        "mfn_signers",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("algorithm", sa.String(32), nullable=False),
        sa.Column("credentials", sa.Text, nullable=False),
        sa.Column("any_credential", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("master_id", sa.String(200), nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("public_key", name="uq_mfn_signers_public_key"),
    )
    op.create_index("ix_mfn_signers_generation", "mfn_signers", ["generation"])
    op.create_table(
        "mfn_request_nonces",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_mfn_request_nonces_expires_at", "mfn_request_nonces", ["expires_at"])
