"""Who calls: every credential of the store in memory, found by its id without asking anybody.

What is held is as fresh as the caches of keys (:mod:`.freshness`): a credential that is revoked
stops within seconds in every process, or the process stops answering.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hmac import compare_digest
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.blocking import about_to_block
from mycelium_fractal_net.security.errors import AuthenticationError
from mycelium_fractal_net.security.records.api_keys import DIGEST_BYTES, PresentedKey, parse
from mycelium_fractal_net.security.records.credentials import Credential, CredentialState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store.freshness import Freshness


_LOG: Final = logging.getLogger(__name__)
_PAST: Final = datetime.min.replace(tzinfo=UTC)
_FUTURE: Final = datetime.max.replace(tzinfo=UTC)
_EVERYTHING: Final = "*"
_EVERY_KEY: Final = ":*"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose API key was accepted, and what he may do.

    ``due`` says that the secret should be renewed, and has been due since ``due_text``
    (RFC 3339, UTC), which of a secret that is not yet due lies ahead. ``former`` says that he
    came with the secret before the last rotation: somebody has a newer one.
    """

    credential_id: str
    name: str
    scopes: frozenset[str]
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
            due=due,
            due_text=credential.due_at(rotation_days).strftime("%Y-%m-%dT%H:%M:%SZ"),
            _all=_EVERYTHING in scopes,
            _every_key=frozenset(
                scope.removesuffix(_EVERY_KEY) for scope in scopes if scope.endswith(_EVERY_KEY)
            ),
        )

    def may(self, operation: str, key_name: str) -> bool:
        """Whether he may do ``operation``, such as ``encrypt``, with the key of that name.

        The name is a bare one, without a version.
        """
        return self._all or operation in self._every_key or f"{operation}:{key_name}" in self.scopes

    def has(self, scope: str) -> bool:
        """Whether his scopes hold ``scope``: itself, or one that contains it."""
        return self._all or scope in self.scopes or scope.partition(":")[0] in self._every_key

    def covers(self, scopes: Iterable[str]) -> bool:
        """Whether he has all of ``scopes``, and so may grant them: nobody grants what he lacks."""
        return all(map(self.has, scopes))


class _Entry(NamedTuple):
    """What a presented key is held against. What is absent has ended, and is compared as well."""

    digest: bytes
    ends: datetime
    previous_digest: bytes
    previous_ends: datetime
    due_at: datetime
    caller: Caller | None
    caller_due: Caller | None


# No digest of anything: what an unknown id is compared with, so that it takes as long.
_NO_DIGEST: Final = os.urandom(DIGEST_BYTES)
_NOBODY: Final = _Entry(_NO_DIGEST, _PAST, _NO_DIGEST, _PAST, _FUTURE, None, None)


class CredentialDirectory:
    """All credentials of a store. Every method may be called from any thread.

    A secret is due for renewal ``rotation_days`` after it was made. ``clock`` gives the time in
    UTC; by default it is the provider's.
    """

    def __init__(
        self,
        provider: StoredKeyProvider,
        freshness: Freshness,
        *,
        rotation_days: int = 90,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._provider = provider
        self._freshness = freshness
        self._rotation_days = rotation_days
        self._clock = clock or provider.clock
        self._entries: dict[bytes, _Entry] | None = None
        freshness.subscribe(self)

    def authenticate(self, api_key: bytes) -> Caller:
        """The holder of ``api_key``, the text ``mfn_<id>_<secret>`` as bytes.

        Raises as :meth:`recognise` does.
        """
        return self.recognise(parse(api_key))

    def recognise(self, presented: PresentedKey) -> Caller:
        """The holder of an API key that was read already.

        Raises :class:`AuthenticationError` alike for what is malformed, unknown, wrong, revoked
        or expired, after the same work; :class:`StoreUnavailableError` where the credentials in
        memory can no longer be known to be good.
        """
        if monotonic() >= self._freshness.until:
            self._freshness.ensure()
        entries = self._entries
        if entries is None:
            entries = self.load()
        credential_id, digest = presented
        entry = entries.get(credential_id, _NOBODY)
        now = self._clock()
        # Every comparison is made, whatever the one before it gave.
        newest = compare_digest(digest, entry.digest)
        previous = compare_digest(digest, entry.previous_digest) & (now < entry.previous_ends)
        caller = entry.caller if now < entry.due_at else entry.caller_due
        if not (newest | previous) & (now < entry.ends) or caller is None:
            raise AuthenticationError
        return caller if newest else replace(caller, former=True)

    def due_count(self) -> int:
        """How many credentials that may be used are due for renewal, of those in memory."""
        now = self._clock()
        entries = self._entries or {}
        return sum(entry.due_at <= now < entry.ends for entry in list(entries.values()))

    def load(self) -> dict[bytes, _Entry]:
        """Read every credential; done by the first :meth:`authenticate` where it was not before.

        Raises :class:`StoreUnavailableError`.
        """
        about_to_block()
        self._freshness.ensure()
        while True:
            before = self._freshness.generation
            entries: dict[bytes, _Entry] = {}
            self._read(entries, since=-1)
            with self._freshness.lock:
                if self._freshness.generation == before:
                    self._entries = entries
                    return entries

    def changed(self, since: int, *, moved: bool) -> None:
        """Read again the credentials that changed after ``since``, or all where the store moved."""
        if self._entries is None:
            return
        # A store that was restored may lack some of those that are here.
        entries: dict[bytes, _Entry] = {} if moved else self._entries
        self._read(entries, since=-1 if moved else since)
        self._entries = entries

    def _read(self, entries: dict[bytes, _Entry], *, since: int) -> None:
        for credential_id, found in self._provider.credentials.each(since):
            if isinstance(found, Credential):
                entries[credential_id.encode()] = self._entry(found)
            else:
                entries.pop(credential_id.encode(), None)
                _LOG.error("a credential is refused: %s", found)

    def _entry(self, credential: Credential) -> _Entry:
        ends = credential.expires_at or _FUTURE
        caller = Caller.of(credential, self._rotation_days, due=False)
        return _Entry(
            digest=credential.digest,
            ends=ends if credential.state is CredentialState.ACTIVE else _PAST,
            previous_digest=credential.previous_digest or _NO_DIGEST,
            previous_ends=credential.previous_until or _PAST,
            due_at=credential.due_at(self._rotation_days),
            caller=caller,
            caller_due=replace(caller, due=True),
        )
