"""What the site does with its customers: ``python manage.py test``."""

from django.core.exceptions import ValidationError
from django.db import connection
from django.test import TestCase

from customers.models import Customer
from mycelium_fractal_net.integrations.django import RefusedError


class Customers(TestCase):
    """Stored sealed, found by what they are."""

    def setUp(self) -> None:
        """Alice is a customer."""
        Customer.objects.create(name="Alice", email="Alice@example.com", notes="likes tea")

    def test_the_database_holds_no_plaintext(self) -> None:
        """Neither the address nor the notes."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT email, notes FROM customers_customer")
            stored = b"".join(map(bytes, cursor.fetchone()))
        self.assertNotIn(b"alice", stored.lower())
        self.assertNotIn(b"tea", stored)

    def test_she_is_found_by_her_address(self) -> None:
        """However it is typed; and read back as it was stored."""
        found = Customer.objects.get(email="ALICE@EXAMPLE.COM")
        self.assertEqual((found.email, found.notes), ("Alice@example.com", "likes tea"))

    def test_an_address_is_taken_once(self) -> None:
        """The form says so."""
        with self.assertRaises(ValidationError):
            Customer(name="Eve", email="alice@example.com").full_clean()

    def test_what_only_plaintext_could_answer_is_refused(self) -> None:
        """And not answered wrongly."""
        with self.assertRaises(RefusedError):
            Customer.objects.filter(email__contains="alice")
        with self.assertRaises(RefusedError):
            list(Customer.objects.order_by("email"))
