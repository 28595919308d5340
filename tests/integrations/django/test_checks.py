"""What ``manage.py check`` says of encrypted fields, and what is refused as a model is made."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from django import conf
from django.apps import apps
from django.core.checks import run_checks
from django.core.exceptions import FieldError
from django.db import connection, models
from django.db.models.functions import Lower
from django.test.utils import isolate_apps, override_settings

from mycelium_fractal_net import initialise
from mycelium_fractal_net.integrations.application import application_keyring, configure
from mycelium_fractal_net.integrations.django import EncryptedField, Tag, UniqueTag
from mycelium_fractal_net.integrations.django.checks import of_keys
from mycelium_fractal_net.integrations.django.settings import open_by_settings
from mycelium_fractal_net.security.errors import ConfigurationError
from mycelium_fractal_net.security.records.keys import Verb
from tests.support.cli import Mfn
from tests.support.stores import keyring_over

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from mycelium_fractal_net.security.keyring.keyring import Keyring

KEYS: dict[str, Any] = {"key_id": "customers", "index": "customers-index"}
OPENED: list[Keyring] = []


def text() -> EncryptedField:
    return EncryptedField(models.CharField(max_length=9), **KEYS)


def ids(model: type[models.Model]) -> list[str]:
    return [each.id for each in model.check() if each.id.startswith("mfn.")]


def test_the_models_of_the_tests_pass(keys: Keyring) -> None:
    """All checks, those of Django too, on fields with an index or constraint to search by."""
    found = [each for each in run_checks() if each.id != "mfn.W002"]
    assert found == []
    assert {each.obj.model.__name__ for each in run_checks()} == {"Everything"}


def test_a_key_that_does_not_serve_is_named_with_each_of_its_fields(
    keyring: Keyring, home: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """One that is missing, of another type, or suspended; the command in the hint shows it."""
    keyring.provider.states.apply(Verb.SUSPEND, "customers-index:v1")
    keyring.refresh()
    found = of_keys(apps.get_app_configs())
    assert {each.id for each in found} == {"mfn.E001"}
    assert {each.obj.name for each in found} >= {"email", "phone"}
    assert "note" not in {each.obj.name for each in found}
    assert all(each.msg.startswith("the key 'customers-index' does not serve: ") for each in found)
    assert found[0].is_serious()
    (said,) = {each.hint for each in found}
    assert "'mfn key show customers-index'" in said
    assert "suspended" in Mfn(home, home, capfdbinary).ok("key", "show", "customers-index").out


def test_keys_that_are_not_there_are_named(
    no_keyring: None, local_provider: LocalKeyProvider
) -> None:
    """And one that is of the wrong type."""
    local_provider.keys.create("customers", "mac")
    with keyring_over(local_provider) as opened:
        configure(opened)
        found = of_keys()
    texts = {each.msg.partition(" does not serve: ")[0] for each in found}
    assert texts == {"the key 'customers'", "the key 'customers-index'"}


def test_a_keyring_that_does_not_open_is_a_warning(no_keyring: None) -> None:
    """Images are built where there is none; each use of it fails."""
    (found,) = of_keys()
    assert (found.id, found.is_serious()) == ("mfn.W001", False)
    assert "/nonexistent" in found.msg
    assert "'mfn doctor'" in found.hint


def test_other_applications_are_not_asked_about(keys: Keyring) -> None:
    """``manage.py check auth`` opens nothing."""
    assert of_keys([apps.get_app_config("auth")]) == []


@isolate_apps("tests.integrations.django.shop")
def test_options_that_go_by_sealed_bytes_are_errors() -> None:
    """Uniqueness, indexes and orders of the column, and constraints that a rotation breaks."""

    class Together(models.Model):
        name = text()
        other = models.IntegerField()

        class Meta:
            app_label = "shop"
            unique_together = [("name", "other")]  # noqa: RUF012
            indexes = [  # noqa: RUF012
                models.Index(fields=["other", "-name"], name="together_a"),
                models.Index(Tag("name"), name="together_b"),
            ]
            ordering = ["-name"]  # noqa: RUF012
            constraints = [  # noqa: RUF012
                models.UniqueConstraint(fields=["name"], name="together_c"),
                models.UniqueConstraint("other", Tag("name"), name="together_d"),
            ]

    assert sorted(ids(Together)) == ["mfn.E002"] * 3 + ["mfn.E003", "mfn.E004"]

    class Bare(models.Model):
        name = EncryptedField(models.CharField(max_length=9), key_id="customers")
        found = text()
        fine = text()
        short = EncryptedField(models.TextField(), bits=8, **KEYS)

        class Meta:
            app_label = "shop"
            constraints = [  # noqa: RUF012
                UniqueTag("name", name="bare_a"),
                UniqueTag("fine", name="bare_b"),
                UniqueTag("short", name="bare_c"),
            ]

    assert sorted(ids(Bare)) == ["mfn.E005", "mfn.E006", "mfn.W002"]


def only(*values: Any) -> Any:
    return {"constraints": list(values)}


def index(*values: Any, **options: Any) -> Any:
    return {"indexes": [models.Index(*values, name="an_index", **options)]}


def generated(expression: Any, output_field: models.Field) -> Any:
    return models.GeneratedField(expression=expression, output_field=output_field, db_persist=True)


TODAY = models.Q(email="a@example.com")
THERE = models.Q(email__isnull=False) | models.Q(number=1)


@pytest.mark.parametrize(
    ("meta", "fields", "told"),
    [
        (index(models.F("email")), {}, "mfn.E002"),
        (index(Lower("email")), {}, "mfn.E002"),
        (index(models.F("email").desc()), {}, "mfn.E002"),
        (only(models.UniqueConstraint(models.F("email"), name="a")), {}, "mfn.E002"),
        (only(models.UniqueConstraint(Lower("email"), "number", name="a")), {}, "mfn.E002"),
        ({}, {"low": generated(Lower("email"), models.TextField())}, "mfn.E002"),
        ({}, {"pk": models.CompositePrimaryKey("number", "email")}, "mfn.E002"),
        ({"get_latest_by": "-email"}, {}, "mfn.E003"),
        ({"get_latest_by": ["number", "email"]}, {}, "mfn.E003"),
        (only(models.CheckConstraint(condition=TODAY, name="a")), {}, "mfn.E009"),
        (only(models.CheckConstraint(condition=~(TODAY | THERE), name="a")), {}, "mfn.E009"),
        (index(fields=["number"], condition=TODAY), {}, "mfn.E009"),
        (
            only(models.CheckConstraint(condition=models.Q(number=models.F("email")), name="a")),
            {},
            "mfn.E009",
        ),
        ({}, {"other": models.TextField(unique_for_month="day")}, "mfn.E010"),
        (
            {},
            {
                "on": models.DateField(),
                "other": EncryptedField(models.TextField(unique_for_date="on"), key_id="k"),
            },
            "mfn.E010",
        ),
        (only(models.CheckConstraint(condition=THERE, name="a")), {}, None),
        (index(fields=["number"], condition=THERE), {}, None),
        (index("number", Tag("email")), {}, None),
        ({}, {"tag": generated(Tag("email"), models.BinaryField())}, None),
        ({"get_latest_by": "number"}, {"on": models.DateField()}, None),
    ],
    ids=str,
)
@isolate_apps()
def test_a_schema_that_goes_by_plaintext_is_an_error(meta: Any, fields: Any, told: Any) -> None:
    """Indexes, constraints, conditions, generated columns, composite keys, and days."""
    made = {
        "email": EncryptedField(models.EmailField(null=True), **KEYS),
        "day": EncryptedField(models.DateField(), key_id="customers"),
        "number": models.IntegerField(),
        **{name: copy.copy(each) for name, each in fields.items()},
    }
    options = type("Meta", (), {"app_label": "shop", **meta})
    model = type("Made", (models.Model,), {"__module__": __name__, "Meta": options, **made})
    assert [each for each in ids(model) if each != "mfn.W002"] == ([told] if told else [])


@isolate_apps()
def test_a_schema_holds_no_search() -> None:
    """Where nobody has asked the checks: tags in a constraint are those of today."""

    class Made(models.Model):
        email = EncryptedField(models.EmailField(), **KEYS)

        class Meta:
            app_label = "shop"
            constraints = [models.CheckConstraint(condition=TODAY, name="a")]  # noqa: RUF012

    with (
        pytest.raises(FieldError, match="a schema holds no search"),
        connection.schema_editor(collect_sql=True) as editor,
    ):
        editor.create_model(Made)


def test_a_constraint_of_some_rows_is_none_of_tags() -> None:
    """What is written is held against all rows while the index key is rotated."""
    with pytest.raises(ConfigurationError, match="it takes no condition"):
        UniqueTag("email", name="a", condition=models.Q(number=1))
    said = UniqueTag("email", name="a", violation_error_message="taken", violation_error_code="t")
    assert said.clone() == said


@pytest.mark.parametrize(
    ("field", "told"),
    [
        (lambda: models.CharField(max_length=9, db_collation="nocase"), "normalisation"),
        (lambda: models.CharField(max_length=9, unique=True), "UniqueTag"),
        (lambda: models.AutoField(primary_key=True), "primary keys"),
        (lambda: models.ForeignKey("shop.Customer", models.CASCADE), "relations"),
        (models.FileField, "files"),
        (lambda: models.CharField(max_length=9, db_default="x"), "use default"),
        (lambda: models.Field(), "type Field cannot be encrypted"),
        (text, "such as models.CharField"),
        (lambda: models.CharField, "such as models.CharField"),
    ],
)
def test_what_cannot_be_encrypted_is_refused(field: Any, told: str) -> None:
    """As soon as the model is imported, with what to do instead."""
    with pytest.raises(ConfigurationError, match=told):
        EncryptedField(field(), key_id="customers")


def test_what_does_not_go_together_is_refused() -> None:
    """A normalisation, or bits, without an index; some that there are not."""
    wrong: list[dict[str, Any]] = [
        {"normalisation": "nfc"},
        {"index": "i", "normalisation": "soundex"},
        {"bits": 8},
        {"index": "i", "bits": 3},
    ]
    for options in wrong:
        with pytest.raises(ConfigurationError):
            EncryptedField(models.TextField(), key_id="customers", **options)


def open_it() -> Keyring:
    return OPENED[0]


def test_the_setting_says_which_keyring(keys: Keyring, no_keyring: None) -> None:
    """What opens it or its path; it is asked once, and again when the setting has changed."""
    OPENED[:] = [keys]
    for opens in (open_it, f"{__name__}.open_it"):
        with override_settings(MFN={"KEYRING": opens}):
            assert application_keyring() is keys


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"HOEM": "/secret"}, r"^the setting MFN has no 'HOEM'$"),
        ({"KEYRING": "nowhere.at_all"}, r"^what MFN\['KEYRING'\] names cannot be imported$"),
        ({"KEYRING": open_it, "HOME": "/secret"}, r"^the setting MFN has KEYRING or the rest"),
    ],
)
def test_a_setting_that_is_misspelt_is_refused(
    no_keyring: None, chosen: dict[str, Any], told: str
) -> None:
    """Without its value."""
    with override_settings(MFN=chosen), pytest.raises(ConfigurationError, match=told):
        application_keyring()


@pytest.mark.usefixtures("db")
def test_a_tag_is_of_an_encrypted_field_with_an_index() -> None:
    """Of others there is none."""
    from tests.integrations.django.shop.models import Customer

    for name in ("name", "note"):
        with pytest.raises(FieldError, match=r"a tag is that of|has no index"):
            list(Customer.objects.annotate(tag=Tag(name)))
    assert Customer.objects.annotate(tag=Tag("email")).count() == 0


def test_a_program_that_is_no_site_has_the_keyring_of_the_configuration(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has this imported and no settings of Django, such as a service on SQLAlchemy."""
    monkeypatch.setattr(conf, "settings", conf.LazySettings())
    monkeypatch.setenv("MFN_HOME", str(home))
    initialise().close()
    with open_by_settings() as found:
        assert found.decrypt(found.encrypt(b"ada")) == b"ada"
