"""A Django of this process: tables made once, a keyring for a module, a transaction for a test."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import django
import pytest

from mycelium_fractal_net.integrations.application import configure
from tests.integrations.conftest import with_keys
from tests.support import postgres
from tests.support.stores import open_provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integrations.django.settings"
django.setup()
del os.environ["DJANGO_SETTINGS_MODULE"]  # which is not for what tests start


@pytest.fixture(scope="session")
def tables() -> None:
    """The tables of every model."""
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, skip_checks=True, verbosity=0)


@contextlib.contextmanager
def site_keyring(folder: Path) -> Iterator[Keyring]:
    """A new keyring in that folder, which the site uses, with the keys that the models name."""
    provider = open_provider(f"sqlite:///{folder / 'keys.db'}", folder)
    with with_keys(provider) as opened:
        configure(opened)
        yield opened
    provider.store.database.close()
    configure(None)


@pytest.fixture(scope="module")
def keys(shared_keys: Keyring) -> Iterator[Keyring]:
    """The keyring of a module's tests, none of which changes a key."""
    configure(shared_keys)
    yield shared_keys
    configure(None)


@pytest.fixture
def keyring(keys: Keyring, home: Path) -> Iterator[Keyring]:
    """One of the test's own, whose keys it may rotate and suspend."""
    with site_keyring(home) as opened:
        yield opened
    configure(keys)


@pytest.fixture
def no_keyring(keys: Keyring) -> Iterator[None]:
    """A site that was told of none but by its settings."""
    configure(None)
    yield
    configure(keys)


@pytest.fixture
def db(tables: None, keys: Keyring) -> Iterator[None]:
    """The database, which is afterwards as it was."""
    with undone():
        yield


@contextlib.contextmanager
def undone(using: str = "default") -> Iterator[None]:
    """Leave the database as it was; within another one what that one did stays."""
    from django.db import transaction

    with transaction.atomic(using):
        yield
        transaction.set_rollback(True, using)


@pytest.fixture(scope="session")
def postgresql(postgres_server: str) -> Iterator[None]:
    """Django's second database, with the tables of the shop."""
    from django.db import connections

    from tests.integrations.django.shop.models import Customer, Everything

    url = postgres.create_database(postgres_server, "django")
    connections.settings["postgresql"] = {
        **connections.settings["default"],
        **postgres.django_settings(url),
    }
    with connections["postgresql"].schema_editor() as editor:
        editor.create_model(Customer)
        editor.create_model(Everything)
    yield
    connections["postgresql"].close()
    del connections.settings["postgresql"]
    del connections["postgresql"]
