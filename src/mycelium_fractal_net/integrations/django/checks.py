"""System checks: fields that ask for what cannot be, and keys that do not serve.

``manage.py check`` runs them, and so does each command that checks first. Where the keyring itself
does not open that is a warning, since images are built and migrations are written where there is
none; a key that is missing or does not serve is an error.
"""

from __future__ import annotations

from typing import Any, Final

from django.apps import apps
from django.core import checks
from django.db.models import Index, UniqueConstraint

from mycelium_fractal_net.integrations.application import application_keyring
from mycelium_fractal_net.integrations.django.admin_checks import of_admin
from mycelium_fractal_net.integrations.django.schema_checks import of_schema
from mycelium_fractal_net.integrations.django.tags import Tag
from mycelium_fractal_net.integrations.django.unique import UniqueTag
from mycelium_fractal_net.security.errors import MfnError

_TAG: Final = "mfn"
_TRIAL: Final = b"mfn"


def install() -> None:
    """Have ``manage.py check`` try the keys, and look over the admin."""
    checks.register(of_keys, _TAG)
    checks.register(of_admin, _TAG)


def of_keys(app_configs: Any = None, **_: Any) -> list[Any]:
    """Whether the keyring opens, and which keys of encrypted fields do not serve."""
    fields = [
        field
        for model in apps.get_models(include_auto_created=True)
        if app_configs is None or model._meta.app_config in app_configs
        for field in model._meta.local_fields
        if getattr(field, "is_encrypted", False)
    ]
    if not fields:
        return []
    try:
        keyring = application_keyring()
    except MfnError as error:
        return [
            checks.Warning(
                f"the keyring of the encrypted fields does not open: {error}",
                hint="The setting MFN says where it is; 'mfn doctor' looks closer.",
                id="mfn.W001",
            )
        ]
    tried: dict[tuple[str, bool], str | None] = {}
    found = []
    for field in fields:
        for name, is_index in ((field.key_id, False), (field.index, True)):
            if name is None:
                continue
            if (name, is_index) not in tried:
                tried[name, is_index] = _why_not(keyring, name, is_index=is_index)
            why = tried[name, is_index]
            if why is not None:
                kind = "index" if is_index else "encryption"
                found.append(
                    checks.Error(
                        f"the key {name!r} does not serve: {why}",
                        hint=f"It is to be a key of type {kind}: 'mfn key show {name}'.",
                        obj=field,
                        id="mfn.E001",
                    )
                )
    return found


def _why_not(keyring: Any, name: str, *, is_index: bool) -> str | None:
    """What a key answers to a trial, if that is an error."""
    try:
        if is_index:
            keyring.index_tags(_TRIAL, key_id=name, context=_TRIAL)
            keyring.index_tag(_TRIAL, key_id=name, context=_TRIAL)
        else:
            keyring.decrypt(keyring.encrypt(_TRIAL, key_id=name), key_id=name)
    except MfnError as error:
        return str(error)
    return None


def of_field(field: Any) -> list[Any]:
    """What the model's options ask of an encrypted field, and what they lack."""
    meta = field.model._meta
    found = of_schema(field)
    latest = meta.get_latest_by or ()
    for where, names in (
        ("ordering", meta.ordering),
        ("get_latest_by", (latest,) if isinstance(latest, str) else latest),
    ):
        if field.name in [str(each).lstrip("-+") for each in names]:
            found.append(
                checks.Error(
                    f"it is encrypted and cannot be ordered by: leave it out of Meta.{where}",
                    obj=field,
                    id="mfn.E003",
                )
            )
    tagged = [each for each in meta.indexes if _is_of_tag(each, field)]
    unique = [each for each in meta.constraints if _is_of_tag(each, field)]
    if any(not isinstance(each, UniqueTag) for each in unique):
        found.append(
            checks.Error(
                "its tag is in a constraint that does not hold while the index key is rotated",
                hint=f'UniqueTag("{field.name}", name=...) does; it is of one field, for all rows.',
                obj=field,
                id="mfn.E004",
            )
        )
    if unique and field.bits is not None:
        found.append(
            checks.Error(
                "its tags are cut short, so different values would be refused as one",
                hint="Leave bits out, or the constraint.",
                obj=field,
                id="mfn.E006",
            )
        )
    if unique and field.takes_over is not None:
        found.append(
            checks.Error(
                "it is being taken over, and what is not sealed yet has no tag to be unique by",
                hint="Add the constraint once takes_over is left out.",
                obj=field,
                id="mfn.E008",
            )
        )
    if (tagged or unique) and field.index is None:
        found.append(checks.Error("it has no index, and so no tag", obj=field, id="mfn.E005"))
    elif field.index is not None and not tagged and not unique and not meta.abstract:
        found.append(
            checks.Warning(
                "searches for it look at every row",
                hint=f'Meta.indexes = [models.Index(Tag("{field.name}"), name=...)]',
                obj=field,
                id="mfn.W002",
            )
        )
    return found


def _is_of_tag(each: Index | UniqueConstraint, field: Any) -> bool:
    return any(
        isinstance(part, Tag) and part.named == field.name
        for expression in getattr(each, "expressions", ())
        for part in getattr(expression, "flatten", lambda: ())()
    )
