"""Who calls, and what that permits: the one place where it is decided.

A former secret does data operations only: somebody has a newer one, and who comes with this one may
be a thief. Nobody hands out more than it has: of scopes, of time, of freedom from a signature.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import NotPermittedError
from mycelium_fractal_net.security.records.credentials import is_data_scope

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from mycelium_fractal_net.security.records.credentials import Credential

_EVERYTHING: Final = "*"
_EVERY_KEY: Final = ":*"
_FORMER: Final = (
    "this is a former API key, which does data operations only; it takes the newest one"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose API key was accepted, and what it may do.

    ``bound`` says that it works only with a signature, ``due`` that the secret should be renewed,
    and has been due since ``due_text`` (RFC 3339, UTC), which of a secret that is not yet due lies
    ahead. ``former`` says that it came with the secret before the last rotation.
    """

    credential_id: str
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None
    bound: bool
    due: bool
    due_text: str
    _all: bool = field(repr=False)
    _every_key: frozenset[str] = field(repr=False)  # operations with the scope `operation:*`
    former: bool = False

    @classmethod
    def of(cls, credential: Credential, rotation_days: int, *, due: bool) -> Caller:
        """The holder of ``credential``."""
        scopes = frozenset(credential.scopes)
        return cls(
            credential_id=credential.credential_id,
            name=credential.name,
            scopes=scopes,
            expires_at=credential.expires_at,
            bound=credential.bound,
            due=due,
            due_text=credential.due_at(rotation_days).strftime("%Y-%m-%dT%H:%M:%SZ"),
            _all=_EVERYTHING in scopes,
            _every_key=frozenset(
                scope.removesuffix(_EVERY_KEY) for scope in scopes if scope.endswith(_EVERY_KEY)
            ),
        )

    def may(self, operation: str, key_name: str) -> bool:
        """Whether it may do ``operation``, such as ``encrypt``, with the key of that name.

        The name is a bare one, without a version.
        """
        return self._all or operation in self._every_key or f"{operation}:{key_name}" in self.scopes

    def has(self, scope: str) -> bool:
        """Whether its scopes hold ``scope``, itself or one that contains it, with this secret."""
        if self.former and not is_data_scope(scope):
            return False
        return self._all or scope in self.scopes or scope.partition(":")[0] in self._every_key

    def check(self, scope: str | None = None) -> None:
        """Raise :class:`NotPermittedError` unless it may do what needs ``scope``.

        Without a scope that is what every credential may do with its newest secret.
        """
        if self.former and (scope is None or not is_data_scope(scope)):
            raise NotPermittedError(_FORMER)
        if scope is not None and not self.has(scope):
            raise NotPermittedError(f"this needs a credential with the scope {scope}")

    def check_grant(
        self, scopes: Iterable[str], expires_at: datetime | None, *, bound: bool
    ) -> None:
        """Raise :class:`NotPermittedError` unless it may hand out, or take over, all of that.

        ``expires_at`` is when that ends, None for never; ``bound`` says that it works only with a
        signature.
        """
        if not all(map(self.has, scopes)):
            raise NotPermittedError("no credential hands out, or takes over, a scope that it lacks")
        if self.expires_at is not None and (expires_at is None or expires_at > self.expires_at):
            raise NotPermittedError(
                "no credential hands out, or takes over, what outlives it: this one ends at"
                f" {self.expires_at:%Y-%m-%dT%H:%M:%SZ}"
            )
        if self.bound and not bound:
            raise NotPermittedError(
                "no credential that works only in signed requests hands out, or takes over, one"
                " that works in others"
            )
