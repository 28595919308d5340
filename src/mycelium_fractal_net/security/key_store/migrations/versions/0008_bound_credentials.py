"""That a credential works only with a signature, in its own record."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Bring a store of schema 0007 to 0008. What is there is kept, and stays authentic.

    Which credentials that are is for whoever can authenticate records: ``Signers.bind_named``.
    """
    op.add_column(
        "mfn_credentials", sa.Column("bound", sa.Boolean, nullable=False, server_default=sa.false())
    )
