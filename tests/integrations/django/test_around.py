"""Forms, the admin, serializers, fixtures, pickles: all see the field that is wrapped."""

from __future__ import annotations

import copy
import io
import pickle
from typing import TYPE_CHECKING

import pytest
from django import forms
from django.contrib.auth.models import User
from django.core import serializers
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client

from tests.integrations.django.shop.models import Customer, Everything
from tests.integrations.django.test_values import VALUES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("db")
ALICE = "alice@example.com"


class CustomerForm(forms.ModelForm):
    """All that may be edited."""

    class Meta:  # noqa: D106
        model = Customer
        fields = "__all__"


def test_a_form_has_the_wrapped_field_s_widgets_and_rules() -> None:
    """Labels, help, lengths, choices, validators; what it saves is found."""
    form = CustomerForm()
    email = form.fields["email"]
    assert isinstance(email, forms.EmailField)
    assert (email.label, email.help_text) == ("E-mail address", "Where bills go.")
    assert email.widget.attrs["maxlength"] == "80"
    assert isinstance(form.fields["note"].widget, forms.Textarea)
    assert isinstance(form.fields["level"].widget, forms.Select)
    assert "changed" not in form.fields
    wrong = CustomerForm(
        {"email": "no address", "phone": "123", "level": "silver", "city": "x" * 41}
    )
    assert set(wrong.errors) == {"email", "phone", "level", "city"}
    right = CustomerForm({"email": ALICE, "level": "gold", "phone": ""})
    saved = right.save()
    assert Customer.objects.get(email=ALICE) == saved
    assert saved.phone is None
    again = CustomerForm({"email": ALICE, "level": "gold"})
    assert again.errors == {"email": ["Customer with this E-mail address already exists."]}
    changed = CustomerForm({"email": ALICE, "level": "plain"}, instance=saved)
    assert changed.has_changed()
    assert changed.changed_data == ["level"]
    changed.save()


def test_numbers_are_held_to_what_the_wrapped_field_s_type_holds() -> None:
    """Whose bounds Django asks of the database's type for it, which is not that of bytes."""
    for wrong in ({"count": -1}, {"number": 2**63}, {"price": "1.234"}, {"yes": "maybe"}):
        with pytest.raises(ValidationError):
            Everything(**wrong).full_clean()
    Everything(**{**VALUES, "long_text": "a text"}).full_clean()


def test_the_admin_lists_finds_adds_and_changes() -> None:
    """With its own widgets, and by the whole value."""
    User.objects.create_superuser("root", password="root")
    client = Client()
    assert client.login(username="root", password="root")
    page = client.get("/admin/shop/customer/add/").content.decode()
    assert "vTextField" in page or "vLargeTextField" in page
    sent = {"name": "Alice", "email": ALICE, "level": "gold"}
    assert client.post("/admin/shop/customer/add/", sent).status_code == 302
    assert Customer.objects.get(email=ALICE).name == "Alice"
    twice = client.post("/admin/shop/customer/add/", sent)
    assert "already exists" in twice.content.decode()
    bob = Customer.objects.create(name="Bob", email="bob@example.com")
    for asked, number in ((ALICE, "1 result"), ("alice", "0 results")):
        found = client.get("/admin/shop/customer/", {"q": asked}).content.decode()
        assert number in found
        assert (ALICE in found.replace(f'value="{asked}"', "")) is (asked == ALICE)
    bob.delete()
    key = Customer.objects.get().pk
    page = client.get(f"/admin/shop/customer/{key}/change/").content.decode()
    assert f'value="{ALICE}"' in page
    sent["level"] = "plain"
    assert client.post(f"/admin/shop/customer/{key}/change/", sent).status_code == 302
    assert Customer.objects.get().level == "plain"


@pytest.mark.parametrize("kind", ["json", "jsonl", "python"])
def test_what_is_serialized_is_plaintext_and_comes_back(kind: str) -> None:
    """Fixtures are the values: who keeps them, keeps plaintext."""
    Everything.objects.create(**VALUES)
    written = serializers.serialize(kind, Everything.objects.all())
    Everything.objects.all().delete()
    for each in serializers.deserialize(kind, written):
        each.save()
    read = Everything.objects.get()
    assert {name: getattr(read, name) for name in VALUES} == VALUES


def test_fixtures_are_dumped_and_loaded(tmp_path: Path) -> None:
    """As ``dumpdata`` and ``loaddata`` do it, which saves raw."""
    Customer.objects.create(name="Alice", email=ALICE, note="a note")
    text = io.StringIO()
    call_command("dumpdata", "shop.Customer", stdout=text)
    assert ALICE in text.getvalue()
    Customer.objects.all().delete()
    (tmp_path / "customers.json").write_text(text.getvalue())
    call_command("loaddata", str(tmp_path / "customers.json"), verbosity=0)
    assert Customer.objects.get(email=ALICE).note == "a note"


@pytest.mark.parametrize("kind", ["json", "xml", "jsonl"])
def test_a_field_of_each_kind_is_dumped_and_loaded(kind: str, tmp_path: Path) -> None:
    """XML too, which asks JSON fields for another spelling."""
    made = Everything.objects.create(**VALUES)
    before = Everything.objects.filter(pk=made.pk).values().get()
    file = tmp_path / f"everything.{kind}"
    call_command("dumpdata", "shop.Everything", format=kind, output=str(file), verbosity=0)
    made.delete()
    call_command("loaddata", str(file), verbosity=0)
    assert Everything.objects.values().get() == before


def test_fields_models_and_queries_are_copied_and_pickled() -> None:
    """A field of a model stays that one; a free one is made anew."""
    made = Customer.objects.create(name="Alice", email=ALICE)
    assert pickle.loads(pickle.dumps(made)).email == ALICE
    query = Customer.objects.filter(email=ALICE)
    kept = Customer.objects.all()
    kept.query = pickle.loads(pickle.dumps(query.query))
    assert kept.get() == made
    field = Customer._meta.get_field("email")
    assert pickle.loads(pickle.dumps(field)) is field
    free = pickle.loads(pickle.dumps(field.clone()))
    assert free.deconstruct()[1:3][0] == field.deconstruct()[1]
    assert copy.deepcopy(field).at_work() is field.at_work()
