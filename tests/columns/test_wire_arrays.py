"""Arrays that are packed here are what PostgreSQL reads."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.types import BIGINT, DATE, INTEGER, SMALLINT, TEXT, UUID, VARCHAR, TypeEngine

from mycelium_fractal_net.columns.column_database import ColumnDatabase
from mycelium_fractal_net.columns.wire_arrays import array_type, encoder

if TYPE_CHECKING:
    from collections.abc import Sequence

CASES: list[tuple[TypeEngine[Any], Sequence[Any]]] = [
    (SMALLINT(), [-(2**15), 0, 2**15 - 1, None]),
    (INTEGER(), [-(2**31), None, 2**31 - 1]),
    (BIGINT(), [-(2**63), 2**63 - 1]),
    (UUID(), [uuid.UUID(int=0), None, uuid.UUID(int=2**128 - 1)]),
    (TEXT(), ["", "ä\u0001", None, "x" * 70_000]),
    (VARCHAR(3), ["abcdef", "{}", 'a"b,NULL']),
    (BYTEA(), [b"", b"\x00\xff", None, b"y" * 70_000]),
]


@pytest.mark.parametrize(("kind", "values"), CASES, ids=lambda case: type(case).__name__)
def test_the_database_reads_what_was_packed(
    postgres_url: str, kind: TypeEngine[Any], values: Sequence[Any]
) -> None:
    """Each value and NULL, and text is not cut to the length of the column's type."""
    encode = encoder(kind)
    assert encode is not None
    name = array_type(kind).compile()
    with ColumnDatabase(postgres_url).connection() as connection:
        found = connection.execute(
            text(
                f"SELECT each FROM unnest(CAST(:given AS {name}[])) WITH ORDINALITY AS u(each, n)"
            ),
            {"given": encode(values)},
        )
        assert [row[0] for row in found] == list(values)


def test_other_types_are_left_to_the_driver() -> None:
    """Such as those whose values have several forms."""
    assert encoder(DATE()) is None
