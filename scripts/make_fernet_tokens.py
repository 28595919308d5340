"""Make the Fernet tokens of other packages that the tests open, by the packages themselves.

python scripts/make_fernet_tokens.py > tests/columns/fernet_tokens.json

Needs sqlalchemy-utils 0.43 and django-fernet-encrypted-fields 0.4 beside Django, in a virtual
environment of their own: neither is a dependency of anything here.
"""

from __future__ import annotations

import datetime
import importlib
import json
import sys
from typing import Any, Final

SECRET: Final = "secretkey1234"  # noqa: S105 - of sqlalchemy-utils' own example
SECRETS: Final = ["newest-secret", "former-secret"]
SALTS: Final = ["salt-one", "salt-two"]
VALUES: Final[dict[str, Any]] = {
    "text": "Ünïcode 1234",
    "empty": "",
    "integer": -17,
    "date": datetime.date(2026, 2, 28),
    "datetime": datetime.datetime(2026, 2, 28, 13, 37, 1, 500, tzinfo=datetime.UTC),
    "boolean": True,
    "float": 0.1,
}


def by_sqlalchemy_utils() -> dict[str, str]:
    """As the column types bind values, by the engine of Fernet."""
    types = importlib.import_module("sqlalchemy.types")
    made = importlib.import_module("sqlalchemy_utils.types.encrypted.encrypted_type")
    kinds = {
        "text": types.String, "empty": types.String, "integer": types.Integer,
        "date": types.Date, "datetime": types.DateTime, "boolean": types.Boolean,
        "float": types.Float,
    }  # fmt: skip
    return {
        name: made.StringEncryptedType(kinds[name], SECRET, made.FernetEngine).process_bind_param(
            value, None
        )
        for name, value in VALUES.items()
    }


def by_django() -> dict[str, str]:
    """As the fields store values, with the newest secret and the first salt."""
    settings = importlib.import_module("django.conf").settings
    settings.configure(
        SECRET_KEY=SECRETS[0], SECRET_KEY_FALLBACKS=SECRETS[1:], SALT_KEY=SALTS, USE_TZ=True
    )
    importlib.import_module("django").setup()
    fields = importlib.import_module("encrypted_fields.fields")
    kinds = {
        "text": fields.EncryptedTextField, "integer": fields.EncryptedIntegerField,
        "date": fields.EncryptedDateField, "datetime": fields.EncryptedDateTimeField,
        "boolean": fields.EncryptedBooleanField, "float": fields.EncryptedFloatField,
    }  # fmt: skip
    found = {name: kind().get_prep_value(VALUES[name]) for name, kind in kinds.items()}
    former = importlib.import_module("cryptography.fernet").Fernet(
        fields.EncryptedTextField().keys[3]
    )
    found["former"] = former.encrypt(VALUES["text"].encode()).decode()
    return found


def main() -> None:
    """Print them as JSON."""
    made = {
        "sqlalchemy-utils": {"secret": SECRET, "tokens": by_sqlalchemy_utils()},
        "django-fernet-encrypted-fields": {
            "secrets": SECRETS,
            "salts": SALTS,
            "tokens": by_django(),
        },
    }
    json.dump(made, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
