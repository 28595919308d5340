"""The comparison of encrypted fields with those of a peer and with plaintext."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.test.utils import override_settings

from benchmarks import django_fields, harness

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def afterwards_none(tables: None, keys: None) -> Iterator[None]:
    """Its tables are not left to other tests of this process."""
    yield
    with connection.schema_editor() as editor:
        for model in (*django_fields.tables().values(), *django_fields.customers().values()):
            editor.delete_model(model)


@pytest.mark.usefixtures("afterwards_none")
def test_encrypted_fields_are_compared() -> None:
    """Each field gives back what it was given, searches find who is looked for, goals are told."""
    with override_settings(SALT_KEY="a salt of sixteen bytes"):  # the peer's, where it is installed
        written, read, both = django_fields.values(1, 0)
    django_fields.fill("default", 20)
    searched = harness.compare(django_fields.searches("default", 20), rounds=1, budget=0)
    results = django_fields.Results(20, written, read, both, {"SQLite": searched})
    assert len(django_fields.goals(results)) == 3
    assert "| encrypted, with an index |" in django_fields.markdown(results)
    assert json.loads(django_fields.as_json(results))["rows"] == 20
