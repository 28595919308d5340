"""The record of a credential: an API key that is scoped, stored as a digest, and expires."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


_NAME: Final = re.compile(r"[\x20-\x7e]{1,200}")
_PER_KEY: Final = "encrypt|decrypt|sign|verify|mac|index|rewrap|datakey|fieldkey"
_WHOLE: Final = (
    "allow_compromised|keys:read|keys:admin|credentials:admin|signers:admin|audit:read|metrics:read"
)
SCOPE: Final = re.compile(rf"(?:{_PER_KEY}):(?:\*|[a-z0-9][a-z0-9._-]{{0,63}})|{_WHOLE}|\*")


class CredentialState(StrEnum):
    """Whether a credential may be used at all: only where it is active.

    Unconfirmed are those of a store that came from a backup, since they may have been revoked.
    """

    ACTIVE = "active"
    UNCONFIRMED = "unconfirmed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Credential:
    """One API key. ``digest`` is the SHA-256 of its 256-bit secret, which is stored nowhere.

    ``previous_digest`` is that of the secret before the last rotation, which was at
    ``rotated_at``; it is good until ``previous_until``. ``bound`` says, for ever, that it works
    only in requests that one of its signers signed. Times are UTC.
    """

    credential_id: str
    name: str
    digest: bytes = field(repr=False)
    scopes: tuple[str, ...]
    state: CredentialState
    created_at: datetime
    expires_at: datetime | None = None
    rotated_at: datetime | None = None
    previous_digest: bytes | None = field(default=None, repr=False)
    previous_until: datetime | None = None
    bound: bool = False
    revision: int = 0
    master_id: str = ""

    def due_at(self, rotation_days: int) -> datetime:
        """When the holder should have renewed a secret that serves ``rotation_days``."""
        return (self.rotated_at or self.created_at) + timedelta(days=rotation_days)


def check_name(name: str) -> None:
    """Raise :class:`InvalidInputError` unless it is 1 to 200 characters of printable ASCII."""
    if _NAME.fullmatch(name) is None:
        raise InvalidInputError("the name of a credential is 1 to 200 characters, printable ASCII")


def check_scopes(scopes: tuple[str, ...]) -> None:
    """Raise :class:`InvalidInputError` for a scope that does not exist, or none at all."""
    if not scopes or not all(SCOPE.fullmatch(scope) for scope in scopes):
        raise InvalidInputError(
            "a scope is encrypt, decrypt, sign, verify, mac, index, rewrap, datakey or fieldkey"
            f" with :KEY or :*, or one of {_WHOLE.replace('|', ', ')}, *"
        )


def is_data_scope(scope: str) -> bool:
    """Whether it permits operations on data alone: with one key, or with keys of one's own."""
    return scope == "allow_compromised" or scope.partition(":")[0] in _PER_KEY.split("|")


def keys_named(scopes: Iterable[str]) -> list[str]:
    """The names of keys that scopes are for, each once."""
    named = (scope.partition(":") for scope in scopes if is_data_scope(scope))
    return [*dict.fromkeys(name for _, _, name in named if name not in ("", "*"))]
