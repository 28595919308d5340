"""How the passwords of the tests' users are hashed: as FIPS mode allows, and at once."""

from __future__ import annotations

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class Quick(PBKDF2PasswordHasher):
    """With as few rounds as SP 800-132 takes."""

    iterations = 1000
