"""A Django of this process, its tables made once, and for each test a keyring and a transaction."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import django
import pytest
from sqlalchemy.engine import make_url

from mycelium_fractal_net.integrations.application import configure
from tests.support import postgres
from tests.support.stores import keyring_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.keyring.keyring import Keyring

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integrations.django.settings"
django.setup()
del os.environ["DJANGO_SETTINGS_MODULE"]  # which is not for what tests start


@pytest.fixture(scope="session")
def tables() -> None:
    """The tables of every model."""
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, skip_checks=True, verbosity=0)


@pytest.fixture
def keyring(local_provider: LocalKeyProvider) -> Iterator[Keyring]:
    """With the keys that the models name."""
    local_provider.keys.create("customers")
    local_provider.keys.create("customers-index", "index")
    with keyring_over(local_provider) as opened:
        configure(opened)
        yield opened
    configure(None)


@pytest.fixture
def db(tables: None, keyring: Keyring) -> Iterator[None]:
    """The database, which is afterwards as it was."""
    from django.db import transaction

    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="session")
def postgresql(postgres_server: str) -> Iterator[None]:
    """Django's second database, with the tables of the shop."""
    from django.db import connections

    from tests.integrations.django.shop.models import Customer, Everything

    url = make_url(postgres.create_database(postgres_server, "django"))
    connections.settings["postgresql"] = {
        **connections.settings["default"],
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.database,
        "USER": url.username,
        "PASSWORD": url.password or "",
        "HOST": url.host or url.query.get("host", ""),
        "PORT": url.port or "",
        "OPTIONS": {},
    }
    with connections["postgresql"].schema_editor() as editor:
        editor.create_model(Customer)
        editor.create_model(Everything)
    yield
    connections["postgresql"].close()
    del connections.settings["postgresql"]
    del connections["postgresql"]
