"""Every table is named ``mfn_…``, so that a store may stand in a database with others."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Nothing is left to do: :mod:`..upgrading` renamed the tables of before, as those of 0001 to
    0005 are made under the names of now.
    """
