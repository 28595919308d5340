"""Encrypted fields for Django's models, which can be searched by their value.

    from mycelium_fractal_net.integrations.django import EncryptedField, UniqueTag

    class Customer(models.Model):
        email = EncryptedField(
            models.EmailField(max_length=80), key_id="customers", index="customers-index"
        )

        class Meta:
            constraints = [UniqueTag("email", name="one_customer_for_each_email")]

    Customer.objects.get(email="alice@example.com")

It is no application: nothing of it goes into ``INSTALLED_APPS``. docs/tutorials/django.md begins at
the beginning.
"""

from __future__ import annotations

from mycelium_fractal_net.security.errors import unusable_extra

try:
    import django.db.models  # noqa: F401
except ImportError as error:
    raise unusable_extra("mycelium_fractal_net.integrations.django", "django", error) from None

from mycelium_fractal_net.columns.fernet import Fernet, django_fernet_keys
from mycelium_fractal_net.columns.plaintext import Plaintext
from mycelium_fractal_net.integrations.application import configure
from mycelium_fractal_net.integrations.django import checks, settings
from mycelium_fractal_net.integrations.django.field import EncryptedField
from mycelium_fractal_net.integrations.django.refusals import RefusedError
from mycelium_fractal_net.integrations.django.tags import Tag
from mycelium_fractal_net.integrations.django.unique import UniqueTag
from mycelium_fractal_net.integrations.fields import plaintext_read
from mycelium_fractal_net.legacy.source import XorCipher

__all__ = [
    "EncryptedField",
    "Fernet",
    "Plaintext",
    "RefusedError",
    "Tag",
    "UniqueTag",
    "XorCipher",
    "configure",
    "django_fernet_keys",
    "plaintext_read",
]

settings.install()
checks.install()
