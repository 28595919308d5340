"""The judge of CycloneDX documents: its own library, which brings the schema along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cyclonedx.validation.json import JsonStrictValidator


@pytest.fixture(scope="session")
def cyclonedx() -> JsonStrictValidator:
    """It says what is wrong with a document of 1.6, None where nothing is. Made once, in 1 s."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6)
