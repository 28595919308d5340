"""What doctor says of keys that may leave and of imports under way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.config import Settings, load_settings
from mycelium_fractal_net.doctor import Severity, diagnose
from tests.support.algorithms import WRAPPING

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.doctor import Finding


@pytest.fixture
def settings(home: Path) -> Settings:
    """The settings of a store that is in order."""
    initialise(home=home).close()
    return load_settings(home=home)


def found(settings: Settings, check: str) -> list[Finding]:
    """The findings of that check."""
    return [each for each in diagnose(settings) if each.check == check]


def test_a_key_that_may_leave_is_named(settings: Settings) -> None:
    """Those alone; it is no fault, but somebody should know."""
    with open_keyring(settings=settings) as keyring:
        keyring.provider.keys.create("card", exportable=True)
        keyring.provider.keys.create("orders")
    (finding,) = found(settings, "exportable")
    assert (finding.severity, finding.subject) == (Severity.NOTICE, "key card")


def test_an_import_is_named_with_its_end(settings: Settings) -> None:
    """While it is under way, and once it has expired and is still there."""
    with open_keyring(settings=settings) as keyring:
        imports = keyring.provider.imports
        under_way = imports.begin("orders", method=WRAPPING)
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        imports.clock = lambda: hour_ago
        expired = imports.begin("late", method=WRAPPING)
    said = {each.subject: each.advice for each in found(settings, "import")}
    assert said == {
        f"import {under_way.import_id}": (
            f"of key 'orders' is under way until {under_way.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        ),
        f"import {expired.import_id}": (
            "of key 'late' has expired, and what opens it is still there: mfn rotation run deletes"
            " it"
        ),
    }


def test_an_import_that_was_edited_is_critical(settings: Settings) -> None:
    """As every record that fails its authentication."""
    with open_keyring(settings=settings) as keyring:
        pending = keyring.provider.imports.begin("orders", method=WRAPPING)
        with keyring.provider.store.database.write() as connection:
            connection.execute(text("UPDATE mfn_pending_imports SET exportable = true"))
    (finding,) = found(settings, "authentication")
    assert finding.severity is Severity.CRITICAL
    assert finding.subject == f"import {pending.import_id}"


def test_an_import_that_has_ended_is_nothing_that_was_put_back(settings: Settings) -> None:
    """Its record is gone, as it should be."""
    with open_keyring(settings=settings) as keyring:
        provider = keyring.provider
        pending = provider.imports.begin("orders", method=WRAPPING)
        wrapped = provider.policy.wrapping_key(pending.public_key).wrap(bytes(32))
        provider.imports.finish(pending.import_id, wrapped)
    assert found(settings, "put-back") == []
