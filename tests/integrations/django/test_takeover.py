"""A site's column of plaintext or tokens is taken over by real migrations, beside the site."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet as Writer
from django.db import connections, migrations, models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter

from mycelium_fractal_net.columns import EncryptedField as StoredField
from mycelium_fractal_net.columns import MessageColumn, fill_column, take_over_column
from mycelium_fractal_net.integrations.django import (
    EncryptedField,
    Fernet,
    Plaintext,
    RefusedError,
    Tag,
    UniqueTag,
    XorCipher,
    django_fernet_keys,
)
from mycelium_fractal_net.integrations.spelling import SPELLINGS
from mycelium_fractal_net.security.errors import ConfigurationError, DecryptionError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.support import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

UNTIL = "9999-12-31"
FIELD = StoredField("shop_person", "email")
KEY = Writer.generate_key().decode()
TABLE = "shop_person"


class Site:
    """A site whose model changes from release to release, each with its migration."""

    def __init__(self, using: str, url: str) -> None:
        self.using = using
        self.url = url
        self.state = ProjectState()

    def migrate(self, *operations: Any) -> None:
        """Change the database as Django does."""
        for operation in operations:
            before, after = self.state, self.state.clone()
            operation.state_forwards("shop", after)
            with connections[self.using].schema_editor() as editor:
                operation.database_forwards("shop", editor, before, after)
            self.state = after

    def people(self, **fields: Any) -> Any:
        """The rows, as a release with these fields sees them."""
        state = ProjectState()
        key = ("id", models.BigAutoField(primary_key=True))
        state.add_model(ModelState("shop", "Person", [key, *fields.items()]))
        return state.apps.get_model("shop", "Person").objects.using(self.using)

    def release(self, **fields: Any) -> Any:
        """:meth:`people` of a model whose fields keep what no migration has."""
        people = self.people(**fields)
        for name, field in fields.items():
            people.model._meta.get_field(name).takes_over = getattr(field, "takes_over", None)
        return people

    def stored(self, column: str = "email") -> dict[int, Any]:
        """What the database has, by row."""
        with connections[self.using].cursor() as cursor:
            cursor.execute(f"SELECT id, {column} FROM shop_person ORDER BY id")
            return {
                key: bytes(value) if isinstance(value, memoryview) else value
                for key, value in cursor.fetchall()
            }

    def file(self) -> Any:
        """The file of the table on PostgreSQL, which is another one once it was rewritten."""
        if self.using == "takeover_sqlite":
            return None
        with connections[self.using].cursor() as cursor:
            cursor.execute("SELECT pg_relation_filenode('shop_person')")
            return cursor.fetchone()


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, keys: Keyring, tmp_path: Path) -> Iterator[Site]:
    """One on a database of its own."""
    using = f"takeover_{request.param}"
    chosen = {**connections.settings["default"], "ENGINE": "django.db.backends.sqlite3"}
    if request.param == "sqlite":
        chosen["NAME"] = tmp_path / "site.db"
        url = f"sqlite:///{chosen['NAME']}"
    else:
        server = str(request.getfixturevalue("postgres_server"))
        url = postgres.create_database(server, f"site_{tmp_path.name[-20:]}".replace("-", "_"))
        chosen |= postgres.django_settings(url)
    connections.settings[using] = chosen
    made = Site(using, url)
    made.migrate(
        migrations.CreateModel(
            "Person",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("email", models.CharField(max_length=80, db_index=True)),
            ],
        )
    )
    yield made
    connections[using].close()
    del connections.settings[using]
    del connections[using]


def sealed(source: Any = None) -> EncryptedField:
    """The field of the next release."""
    return EncryptedField(
        models.CharField(max_length=80), key_id="customers", as_text=True, takes_over=source
    )


def sweep(site: Site, keys: Keyring, source: Any = None) -> Any:
    column = MessageColumn(site.url, TABLE, "email", field=FIELD)
    return take_over_column(keys, column, "customers", source, workers=1)


@pytest.mark.parametrize("form", ["plaintext", "fernet"])
def test_a_column_of_text_is_taken_over_in_place(site: Site, keys: Keyring, form: str) -> None:
    """The migration keeps what is there and rewrites nothing; then it is as anywhere."""
    writer = Writer(KEY)
    write = {
        "plaintext": lambda value: value,
        "fernet": lambda value: writer.encrypt(value.encode()).decode(),
    }[form]
    source = Plaintext(UNTIL) if form == "plaintext" else Fernet([KEY], until=UNTIL)
    if form == "fernet":  # as the package's fields have it
        site.migrate(migrations.AlterField("Person", "email", models.TextField()))
    kind = models.CharField(max_length=80) if form == "plaintext" else models.TextField()
    old = site.people(email=kind)
    old.bulk_create([old.model(email=write(each)) for each in ("ada@x", "b\\ob@x")])
    before, file = site.stored(), site.file()

    site.migrate(migrations.AlterField("Person", "email", sealed()))
    assert (site.stored(), site.file()) == (before, file)
    both = site.release(email=sealed(source))
    both.create(email="eve@x")
    assert [each.email for each in both.order_by("id")] == ["ada@x", "b\\ob@x", "eve@x"]
    assert "eve" not in site.stored()[3]
    with pytest.raises(DecryptionError, match=r"^shop_person\.email: "):
        list(site.release(email=sealed()))
    both.filter(id=1).update(email="new@x")  # beside the sweep, which leaves it
    found = sweep(site, keys, source)
    assert (found.done, found.skipped, found.failed) == (1, 2, 0)
    after = site.release(email=sealed())
    assert [each.email for each in after.order_by("id")] == ["new@x", "b\\ob@x", "eve@x"]
    old.create(email="forged")  # whoever writes to the database
    with pytest.raises(DecryptionError):
        list(after)


def searched(field: Any, **options: Any) -> EncryptedField:
    """A field that is found by its value."""
    return EncryptedField(field, key_id="customers", index="customers-index", **options)


def test_a_new_column_takes_the_place_of_the_old_one(site: Site, keys: Keyring) -> None:
    """Searched at each step; in the end it has the old name, without a change of its values."""
    bound = (TABLE, "email")
    new = searched(models.CharField(max_length=80, null=True), bound_to=bound)
    site.people(email=models.CharField(max_length=80)).create(email="ada@x")
    site.migrate(
        migrations.AddField("Person", "email_sealed", new),
        migrations.AddIndex("Person", models.Index(Tag("email_sealed"), name="by_email")),
    )
    both = site.people(
        email=models.CharField(max_length=80),
        email_sealed=searched(models.CharField(max_length=80, null=True), bound_to=bound),
    )
    both.create(email="bob@x", email_sealed="bob@x")
    field = StoredField(TABLE, "email", "customers-index")
    column = MessageColumn(site.url, TABLE, "email_sealed", field=field)
    found = fill_column(keys, column, "customers", "email", workers=1)
    assert (found.done, found.skipped, found.failures) == (1, 1, [])
    for email in ("ada@x", "bob@x"):
        assert both.get(email=email) == both.get(email_sealed=email)
    site.migrate(
        migrations.RemoveField("Person", "email"),
        migrations.RemoveIndex("Person", "by_email"),  # whose expression Django does not rename
        migrations.RenameField("Person", "email_sealed", "email"),
        migrations.AlterField(
            "Person", "email", searched(models.CharField(max_length=80, default=""))
        ),
        migrations.AddConstraint("Person", UniqueTag("email", name="one_for_each_email")),
    )
    after = site.people(email=searched(models.CharField(max_length=80)))
    assert [after.get(email=each).email for each in ("ada@x", "bob@x")] == ["ada@x", "bob@x"]


def test_a_time_is_filled_as_its_field_seals_it(site: Site, keys: Keyring) -> None:
    """Which Django stores in UTC, and SQLite without saying so: a search finds it."""
    now = datetime.datetime(2026, 2, 28, 13, 37, 1, 500, tzinfo=datetime.UTC)
    site.migrate(
        migrations.AddField("Person", "seen", models.DateTimeField(null=True)),
        migrations.AddField("Person", "sealed", searched(models.DateTimeField(null=True))),
    )
    people = site.people(
        seen=models.DateTimeField(null=True), sealed=searched(models.DateTimeField(null=True)),
        email=models.CharField(max_length=80),
    )  # fmt: skip
    people.create(seen=now, email="x")
    field = StoredField(TABLE, "sealed", "customers-index")
    column = MessageColumn(site.url, TABLE, "sealed", field=field)
    spell = SPELLINGS["datetime-utc"]
    found = fill_column(keys, column, "customers", "seen", spell=spell, workers=1)
    assert (found.done, found.failures) == (1, [])
    assert people.get(sealed=now).sealed == now


def test_a_takeover_is_in_no_migration(keys: Keyring) -> None:
    """Neither keys nor the day: to leave it out again changes nothing in the database."""
    with_keys, without = ProjectState(), ProjectState()
    for state, field in ((with_keys, sealed(Fernet([KEY], until=UNTIL))), (without, sealed())):
        state.add_model(ModelState("shop", "Person", [("email", field)]))
    assert MigrationAutodetector(with_keys, without)._detect_changes() == {}
    made = type(
        "Migration",
        (migrations.Migration,),
        {
            "operations": [
                migrations.AddField("Person", "email", sealed(Fernet([KEY], until=UNTIL)))
            ]
        },
    )
    text = str(MigrationWriter(made("0001_initial", "shop")).as_string())
    assert "as_text=True" in text
    assert "takes_over" not in text
    assert KEY not in text


def test_nothing_is_searched_or_unique_while_it_is_taken_over(site: Site, keys: Keyring) -> None:
    """A search would miss rows without a tag; the system check refuses the constraint."""
    field = EncryptedField(
        models.CharField(max_length=80), key_id="customers", index="customers-index",
        takes_over=Plaintext(UNTIL),
    )  # fmt: skip
    people = site.release(email=field)
    with pytest.raises(RefusedError, match="being taken over"):
        list(people.filter(email="ada@x"))
    model = people.model
    model._meta.constraints = [UniqueTag("email", name="one")]
    found = [each.id for each in model._meta.get_field("email").check()]
    assert "mfn.E008" in found
    model._meta.constraints, model._meta.indexes = [], [models.Index(Tag("email"), name="by")]
    assert "mfn.E008" not in [each.id for each in model._meta.get_field("email").check()]


@pytest.mark.parametrize(
    ("field", "options"),
    [
        (models.CharField, {"as_text": True, "index": "customers-index"}),
        (models.DateTimeField, {"takes_over": XorCipher(UNTIL)}),
        (models.IntegerField, {"takes_over": Plaintext(UNTIL)}),
    ],
)
def test_what_does_not_go_together_is_refused(field: Any, options: dict[str, Any]) -> None:
    """As the model is written down."""
    with pytest.raises(ConfigurationError):
        EncryptedField(field(), key_id="customers", **options)


def test_values_of_the_living_package_are_read(site: Site, keys: Keyring) -> None:
    """Under the keys that it derives, with the plaintext that it lets through."""
    page = Path(__file__).parents[2] / "columns" / "fernet_tokens.json"
    made = json.loads(page.read_text())["django-fernet-encrypted-fields"]
    derived = django_fernet_keys(made["secrets"], made["salts"])
    source = Fernet(derived, until=UNTIL, or_plaintext=True)
    site.migrate(migrations.AlterField("Person", "email", models.TextField()))
    old = site.people(email=models.TextField())
    for value in (made["tokens"]["text"], made["tokens"]["former"], "never encrypted"):
        old.create(email=value)
    both = site.release(email=sealed(source))
    read = ["Ünïcode 1234", "Ünïcode 1234", "never encrypted"]
    assert [each.email for each in both.order_by("id")] == read
    numbers = EncryptedField(
        models.IntegerField(), key_id="customers", as_text=True, takes_over=source
    )
    old.update(email=made["tokens"]["integer"])
    assert {each.email for each in site.release(email=numbers)} == {-17}
    assert sweep(site, keys, source).done == 3
