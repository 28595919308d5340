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

from mycelium_fractal_net.integrations.application import configure
from mycelium_fractal_net.integrations.django import checks, settings
from mycelium_fractal_net.integrations.django.field import EncryptedField
from mycelium_fractal_net.integrations.django.refusals import RefusedError
from mycelium_fractal_net.integrations.django.tags import Tag
from mycelium_fractal_net.integrations.django.unique import UniqueTag

__all__ = ["EncryptedField", "RefusedError", "Tag", "UniqueTag", "configure"]

settings.install()
checks.install()
