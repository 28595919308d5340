"""Customers whose e-mail address, telephone and notes are sealed in the database."""

from typing import ClassVar

from django.db import models

from mycelium_fractal_net.integrations.django import EncryptedField, Tag, UniqueTag


class Customer(models.Model):
    """Found by the whole e-mail address, in any case of letters, or the whole number."""

    name = models.CharField(max_length=80)
    email = EncryptedField(
        models.EmailField(max_length=254),
        key_id="customers",
        index="customers-index",
        normalisation="caseless",
    )
    phone = EncryptedField(
        models.CharField(max_length=20, blank=True), key_id="customers", index="customers-index"
    )
    notes = EncryptedField(models.TextField(blank=True), key_id="customers")

    class Meta:
        """One customer for each address; the index by which telephones are found."""

        constraints: ClassVar = [UniqueTag("email", name="one_customer_for_each_email")]
        indexes: ClassVar = [models.Index(Tag("phone"), name="customer_by_phone")]

    def __str__(self) -> str:
        return str(self.name)
