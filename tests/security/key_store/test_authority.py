"""What of a record is authenticated, as bytes; and rows of a kind that no release writes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from mycelium_fractal_net.security.errors import StoreIntegrityError
from mycelium_fractal_net.security.key_providers import LocalKeyProvider
from mycelium_fractal_net.security.key_store.record_mac import encode_fields
from mycelium_fractal_net.security.key_store.rows import Field

fields = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary()


def _encoded(field: Field) -> bytes:
    if field is None:
        kind, value = b"-", b""
    elif isinstance(field, bytes):
        kind, value = b"b", field
    elif isinstance(field, str):
        kind, value = b"s", field.encode()
    else:
        kind, value = b"i", str(int(field)).encode()
    return kind + struct.pack(">I", len(value)) + value


@given(st.lists(fields))
def test_each_field_is_encoded_with_its_kind_and_its_length(values: list[Field]) -> None:
    """So that none runs into the next; a stored MAC stays good for ever."""
    assert encode_fields(values) == b"".join(map(_encoded, values))


def test_a_row_with_a_value_of_another_kind_is_refused(local_provider: LocalKeyProvider) -> None:
    """SQLite keeps any value in any column; the record is named, and the others are read."""
    for name in ("a", "b", "c"):
        local_provider.keys.create(name)
    with local_provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET interval_days = 90.5 WHERE key_id = 'a'"))
        connection.execute(text("UPDATE mfn_keys SET revision = 'x' WHERE key_id = 'b'"))
    for name in ("a", "b"):
        with pytest.raises(StoreIntegrityError, match=f"'{name}'"):
            local_provider.keys.get(name)
    found = [isinstance(each, StoreIntegrityError) for _, each in local_provider.keys.each()]
    assert found == [True, True, False]


def test_a_generation_that_somebody_lowered_hides_no_record(
    local_provider: LocalKeyProvider,
) -> None:
    """It is not authenticated; a negative one kept a record out of every list."""
    local_provider.keys.create("orders")
    with local_provider.store.database.write() as connection:
        connection.execute(text("UPDATE mfn_keys SET generation = -generation - 1"))
    assert [key.key_id for key in local_provider.keys.all()] == ["orders"]
    assert local_provider.keys.table.ids() == ["orders"]
