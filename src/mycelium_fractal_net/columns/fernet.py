"""Fernet tokens as what a column held before: of ``cryptography`` itself, and of two packages.

Both packages derive their key from what an application gives them. :func:`sqlalchemy_utils_key`
is what the ``FernetEngine`` of sqlalchemy-utils does, :func:`django_fernet_keys` what
django-fernet-encrypted-fields does.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mycelium_fractal_net.columns.plaintext import as_it_is
from mycelium_fractal_net.columns.source import Opens, Source, last_day
from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.policy import Policy

if TYPE_CHECKING:
    from mycelium_fractal_net.columns.coding import Value
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.sealed.fernet import FernetOpener

FernetKeys = Sequence[str | bytes] | Callable[[], Iterable[str | bytes]]
"""Keys of 32 bytes in urlsafe base64, or what gives them when they are needed."""

_VERSION: Final = b"\x80"
_START: Final = b"gAAAAA"  # that, and 28 bits of the time, which are zero until the year 4147
_LEAST_CHARACTERS: Final = 100  # of 73 bytes: a token of nothing has one block
_ITERATIONS: Final = 100_000  # of django-fernet-encrypted-fields 0.1 to 0.4


class Fernet(Source):
    """Says that a column's values may still be Fernet tokens, up to and with the day ``until``.

    ``keys`` are those of a ``MultiFernet``: 32 bytes each in urlsafe base64, the one that wrote
    most first; or a function that gives them when the first token is read, so that importing a
    model reads no secret. They are in no ``repr``, no error and no statement's cache key, and
    are not pickled. With ``or_plaintext`` what does not begin as a token is plaintext, as
    django-fernet-encrypted-fields reads it; what does and opens by no key is refused.
    Raises :class:`.InvalidKeyError` and :class:`.InvalidInputError`.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"text", "bytes", "integer", "date"})

    def __init__(
        self, keys: FernetKeys, *, until: datetime.date | str, or_plaintext: bool = False
    ) -> None:
        self.until = last_day(until)
        self.or_plaintext = or_plaintext
        if isinstance(keys, str | bytes):
            raise InvalidInputError("the Fernet keys are a list, or a function that gives them")
        self._keys = keys if callable(keys) else tuple(keys)
        if not callable(keys):
            _opener(Policy(), self._keys)

    def __repr__(self) -> str:
        more = ", or_plaintext=True" if self.or_plaintext else ""
        return f"Fernet(…, until={str(self.until)!r}{more})"

    def __reduce__(self) -> Any:
        raise TypeError("a Fernet source holds keys: it is not pickled, on purpose")

    def __copy__(self) -> Fernet:
        return self

    def __deepcopy__(self, _: object) -> Fernet:
        return self

    def opener(self, keyring: Keyring) -> Opens:
        """Opens tokens. Raises :class:`.ConfigurationError` in FIPS mode."""
        tokens = _opener(keyring.policy, self._keys)
        if not self.or_plaintext:
            return tokens.open

        def opened(value: Value) -> bytes:
            return tokens.open(value) if looks_like_token(value) else as_it_is(value)

        return opened

    def claims(self, stored: bytes) -> bool:
        """A token's bytes begin so, and where a tag ends they may be any: once in 2^32 a message's.

        A tag begins so in one of 256 values, which then cost a MAC more.
        """
        return stored.startswith(_VERSION)


def _opener(policy: Policy, keys: FernetKeys) -> FernetOpener:
    return policy.fernet_opener(keys() if callable(keys) else keys)


def looks_like_token(value: Value) -> bool:
    """Whether it begins as every token does, and is as long as the shortest."""
    begins = value[: len(_START)] in (_START, _START.decode())
    return begins and len(value) >= _LEAST_CHARACTERS


def sqlalchemy_utils_key(secret: str | bytes) -> str:
    """The Fernet key that the ``FernetEngine`` of sqlalchemy-utils makes of a column's key."""
    return base64.urlsafe_b64encode(sha256(_bytes(secret))).decode()


def django_fernet_keys(
    secret_keys: Iterable[str], salt_keys: str | Iterable[str]
) -> tuple[str, ...]:
    """The Fernet keys of django-fernet-encrypted-fields, in its order.

    ``secret_keys`` are ``SECRET_KEY`` and after it ``SECRET_KEY_FALLBACKS``, ``salt_keys`` is
    ``SALT_KEY``. Each pair costs 100,000 iterations of PBKDF2, some 25 ms.
    """
    policy = Policy()
    salts = [salt_keys] if isinstance(salt_keys, str) else list(salt_keys)
    return tuple(
        base64.urlsafe_b64encode(policy.pbkdf2(_bytes(secret), _bytes(salt), _ITERATIONS)).decode()
        for secret in secret_keys
        for salt in salts
    )


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
