"""A shop whose customers are encrypted, and a model with a field of each kind."""

from __future__ import annotations

from typing import Any

from django.core.validators import MinLengthValidator
from django.db import models

from mycelium_fractal_net.integrations.django import EncryptedField, Tag, UniqueTag

KEYS: dict[str, Any] = {"key_id": "customers", "index": "customers-index"}


class Level(models.TextChoices):
    GOLD = "gold", "Gold card"
    PLAIN = "plain", "No card"


class Person(models.Model):
    """What a model of a customer has from elsewhere."""

    city = EncryptedField(models.CharField(max_length=40, blank=True, default=""), **KEYS)

    class Meta:  # noqa: D106
        abstract = True


class Customer(Person):
    name = models.CharField(max_length=80, blank=True)
    email = EncryptedField(
        models.EmailField("e-mail address", max_length=80, help_text="Where bills go."), **KEYS
    )
    phone = EncryptedField(
        models.CharField(max_length=20, null=True, blank=True, validators=[MinLengthValidator(5)]),
        normalisation="caseless",
        **KEYS,
    )
    town = EncryptedField(
        models.CharField(max_length=40, null=True, blank=True),
        bits=4,
        normalisation="caseless",
        **KEYS,
    )
    note = EncryptedField(models.TextField(null=True, blank=True), key_id="customers")
    level = EncryptedField(
        models.CharField(max_length=10, choices=Level, default=Level.PLAIN), key_id="customers"
    )
    changed = EncryptedField(models.DateTimeField(auto_now=True), key_id="customers")

    class Meta:  # noqa: D106
        constraints = [UniqueTag("email", name="one_customer_for_each_email")]  # noqa: RUF012
        indexes = [  # noqa: RUF012
            models.Index(Tag("phone"), name="customer_by_phone"),
            models.Index(Tag("city"), name="customer_by_city"),
            models.Index(Tag("town"), name="customer_by_town"),
        ]

    def __str__(self) -> str:
        return str(self.name)


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    total = models.IntegerField(default=0)


class Everything(models.Model):
    """A field of each kind; in each of them None is no value."""

    text = EncryptedField(models.CharField(max_length=40, null=True), **KEYS)
    long_text = EncryptedField(models.TextField(null=True), **KEYS)
    slug = EncryptedField(models.SlugField(null=True), **KEYS)
    address = EncryptedField(models.GenericIPAddressField(null=True), **KEYS)
    data = EncryptedField(models.BinaryField(null=True), **KEYS)
    number = EncryptedField(models.IntegerField(null=True), **KEYS)
    count = EncryptedField(models.PositiveSmallIntegerField(null=True), **KEYS)
    price = EncryptedField(models.DecimalField(max_digits=8, decimal_places=2, null=True), **KEYS)
    ratio = EncryptedField(models.FloatField(null=True), **KEYS)
    yes = EncryptedField(models.BooleanField(null=True), **KEYS)
    day = EncryptedField(models.DateField(null=True), **KEYS)
    moment = EncryptedField(models.DateTimeField(null=True), **KEYS)
    hour = EncryptedField(models.TimeField(null=True), **KEYS)
    span = EncryptedField(models.DurationField(null=True), **KEYS)
    uid = EncryptedField(models.UUIDField(null=True), **KEYS)
    document = EncryptedField(models.JSONField(null=True), **KEYS)


class Seat(models.Model):
    """Each has one guest; its key is of two columns."""

    pk = models.CompositePrimaryKey("hall", "number")
    hall = models.IntegerField()
    number = models.IntegerField()
    guest = EncryptedField(models.CharField(max_length=40), **KEYS)

    class Meta:  # noqa: D106
        constraints = [UniqueTag("guest", name="one_seat_for_each_guest")]  # noqa: RUF012


class Member(Customer):
    """A customer in a table of its own beside that of customers."""

    since = EncryptedField(models.DateField(null=True), key_id="customers")
