"""Migrations: what is written for a field, what the database is made of it, what changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import IntegrityError, connection, migrations, models, transaction
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.questioner import NonInteractiveMigrationQuestioner
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter

from mycelium_fractal_net.integrations.django import EncryptedField, Tag, UniqueTag
from mycelium_fractal_net.security.errors import DecryptionError
from tests.integrations.django.shop.models import Customer, Everything

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("keys", "tables")
KEYS: dict[str, Any] = {"key_id": "customers", "index": "customers-index"}


def changes(before: ProjectState, after: ProjectState) -> list[Any]:
    """The operations that lead from one to the other."""
    asked = NonInteractiveMigrationQuestioner(specified_apps={"shop"})
    found = MigrationAutodetector(before, after, asked)._detect_changes()
    return [each for made in found.get("shop", []) for each in made.operations]


def state(*models_: type[models.Model]) -> ProjectState:
    made = ProjectState()
    for each in models_:
        made.add_model(ModelState.from_model(each))
    return made


def written(operations: list[Any]) -> str:
    made = type("Migration", (migrations.Migration,), {"operations": operations})
    return str(MigrationWriter(made("0001_initial", "shop")).as_string())


def test_a_migration_is_written_once_and_says_all_that_the_model_does() -> None:
    """Executed, it gives the same state, and a second run finds nothing to do."""
    operations = changes(ProjectState(), state(Customer, Everything))
    text = written(operations)
    assert (
        "mycelium_fractal_net.integrations.django.EncryptedField(models.EmailField("
        "help_text='Where bills go.', max_length=80, verbose_name='e-mail address'), "
        "index='customers-index', key_id='customers')"
    ) in text
    assert "mycelium_fractal_net.integrations.django.UniqueTag('email', name=" in text
    assert "models.Index(mycelium_fractal_net.integrations.django.Tag('phone'), name=" in text
    names: dict[str, Any] = {}
    exec(text, names)
    again = ProjectState()
    for operation in names["Migration"].operations:
        operation.state_forwards("shop", again)
    assert changes(again, state(Customer, Everything)) == []
    field = again.apps.get_model("shop", "Customer")._meta.get_field("phone")
    assert field.normalisation == "caseless"


@pytest.mark.parametrize(
    "other",
    [
        {"key_id": "others"},
        {"index": None},
        {"normalisation": "nfc"},
        {"bound_to": ("people", "email")},
    ],
)
def test_what_is_changed_in_a_field_is_noticed(other: dict[str, Any]) -> None:
    """Each of its options, and those of the wrapped one."""
    before = ProjectState()
    after = ProjectState()
    options = {**KEYS, **other}
    for made, field in (
        (before, EncryptedField(models.CharField(max_length=9), **KEYS)),
        (after, EncryptedField(models.CharField(max_length=9), **options)),
    ):
        made.add_model(ModelState("shop", "Thing", [("name", field)]))
    (change,) = changes(before, after)
    assert isinstance(change, migrations.AlterField)
    wider = ProjectState()
    longer = EncryptedField(models.CharField(max_length=10), **KEYS)
    wider.add_model(ModelState("shop", "Thing", [("name", longer)]))
    assert len(changes(before, wider)) == 1


class Schema:
    """A database with what operations make of it."""

    def __init__(self) -> None:
        self.state = ProjectState()
        self.done: list[tuple[Any, ProjectState, ProjectState]] = []

    def apply(self, *operations: Any) -> Any:
        """The model ``Thing`` afterwards."""
        for operation in operations:
            before, after = self.state, self.state.clone()
            operation.state_forwards("shop", after)
            with connection.schema_editor() as editor:
                operation.database_forwards("shop", editor, before, after)
            self.state = after
        return self.state.apps.get_model("shop", "Thing")


@pytest.fixture
def schema(tables: None, keys: Any) -> Iterator[Schema]:
    """One in which ``Thing`` is removed at the end."""
    made = Schema()
    yield made
    with connection.schema_editor() as editor:
        for model in made.state.apps.get_models():
            editor.delete_model(model)


def test_fields_are_added_changed_and_constrained(schema: Schema) -> None:
    """With rows there: each gets its own default sealed, and keeps what it has."""
    thing = schema.apply(
        migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True))])
    )
    thing.objects.bulk_create([thing(), thing()])
    thing = schema.apply(
        migrations.AddField(
            "Thing",
            "name",
            EncryptedField(models.CharField(max_length=9, default="none"), **KEYS),
        ),
        migrations.AddIndex("Thing", models.Index(Tag("name"), name="thing_by_name")),
    )
    assert [each.name for each in thing.objects.filter(name="none")] == ["none", "none"]
    thing = schema.apply(
        migrations.AlterField(
            "Thing",
            "name",
            EncryptedField(models.CharField(max_length=20, null=True), **KEYS),
        ),
        migrations.AddField(
            "Thing", "code", EncryptedField(models.IntegerField(null=True), **KEYS)
        ),
        migrations.AddConstraint("Thing", UniqueTag("code", name="one_thing_for_each_code")),
    )
    first, second = thing.objects.order_by("id")
    first.code, first.name = 7, "a longer name"
    first.save()
    assert thing.objects.get(code=7).name == "a longer name"
    with pytest.raises(IntegrityError), transaction.atomic():
        thing.objects.filter(pk=second.pk).update(code=7)
    assert "thing_by_name" in thing.objects.filter(name="none").explain()


def test_what_is_renamed_opens_where_it_stays_bound(schema: Schema) -> None:
    """To the former names, which ``bound_to`` keeps; else it does not open."""
    schema.apply(
        migrations.CreateModel(
            "Thing",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("name", EncryptedField(models.CharField(max_length=9), **KEYS)),
            ],
        )
    ).objects.create(name="x")
    thing = schema.apply(migrations.RenameField("Thing", "name", "title"))
    with pytest.raises(DecryptionError, match=r"^shop_thing\.title: "):
        thing.objects.get()
    thing = schema.apply(
        migrations.AlterField(
            "Thing",
            "title",
            EncryptedField(models.CharField(max_length=9), bound_to=("shop_thing", "name"), **KEYS),
        ),
        migrations.AlterModelTable("Thing", "things"),
    )
    assert thing.objects.get(title="x").title == "x"
