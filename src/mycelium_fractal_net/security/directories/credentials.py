"""Who calls: every credential of the store in memory, found by its id without asking anybody."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from datetime import UTC, datetime
from hmac import compare_digest
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.directories.callers import Caller
from mycelium_fractal_net.security.directories.held import Held
from mycelium_fractal_net.security.errors import AuthenticationError
from mycelium_fractal_net.security.records.api_keys import DIGEST_BYTES, PresentedKey, parse
from mycelium_fractal_net.security.records.credentials import Credential, CredentialState
from mycelium_fractal_net.security.records.signers import Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store.freshness import Freshness


_LOG: Final = logging.getLogger(__name__)
_PAST: Final = datetime.min.replace(tzinfo=UTC)
_FUTURE: Final = datetime.max.replace(tzinfo=UTC)


class _Entry(NamedTuple):
    """What a presented key is held against. What is absent has ended, and is compared as well."""

    digest: bytes
    ends: datetime
    previous_digest: bytes
    previous_ends: datetime
    due_at: datetime
    caller: Caller | None
    caller_due: Caller | None


class _Credentials(NamedTuple):
    """``bound`` are the ids of those that work only with a signature."""

    entries: dict[bytes, _Entry]
    bound: set[bytes]


# No digest of anything: what an unknown id is compared with, so that it takes as long.
_NO_DIGEST: Final = os.urandom(DIGEST_BYTES)
_NOBODY: Final = _Entry(_NO_DIGEST, _PAST, _NO_DIGEST, _PAST, _FUTURE, None, None)


class CredentialDirectory(Held[_Credentials]):
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
        self._rotation_days = rotation_days
        self._clock = clock or provider.clock
        super().__init__(provider, freshness)

    def authenticate(self, api_key: bytes, signer: str | None = None) -> Caller:
        """The holder of ``api_key``, the text ``mfn_<id>_<secret>`` as bytes.

        Raises as :meth:`recognise` does.
        """
        return self.recognise(parse(api_key), signer)

    def recognise(self, presented: PresentedKey, signer: str | None = None) -> Caller:
        """The holder of an API key that was read already, in a request that ``signer`` signed.

        Raises :class:`AuthenticationError` alike for what is malformed, unknown, wrong, revoked,
        expired, or bound and not signed, after the same work.
        """
        held = self._fresh()
        credential_id, digest = presented
        entry = held.entries.get(credential_id, _NOBODY)
        now = self._clock()
        # Every comparison is made, whatever the one before it gave.
        newest = compare_digest(digest, entry.digest)
        previous = compare_digest(digest, entry.previous_digest) & (now < entry.previous_ends)
        signed = (signer is not None) | (credential_id not in held.bound)
        caller = entry.caller if now < entry.due_at else entry.caller_due
        if not (newest | previous) & (now < entry.ends) & signed or caller is None:
            raise AuthenticationError
        return caller if newest else replace(caller, former=True)

    def is_bound(self, credential_id: str) -> bool:
        """Whether that credential works only with a signature.

        Its own record says so, or a signer's that names it. A credential whose record is refused
        works not at all, and is taken to be bound.
        """
        return credential_id.encode() in self._fresh().bound

    @property
    def binds_nobody(self) -> bool:
        """Whether it is known, without asking the store, that no credential is bound."""
        held = self._held
        return monotonic() < self._freshness.until and held is not None and not held.bound

    def due_count(self) -> int:
        """How many credentials that may be used are due for renewal, of those in memory."""
        now = self._clock()
        entries = {} if self._held is None else self._held.entries
        return sum(entry.due_at <= now < entry.ends for entry in list(entries.values()))

    def _read(self, before: _Credentials | None, since: int) -> _Credentials:
        held = _Credentials({}, set()) if before is None else before
        for credential_id, found in self._provider.credentials.each(since):
            name = credential_id.encode()
            if isinstance(found, Credential):
                if found.bound:
                    held.bound.add(name)
                held.entries[name] = self._entry(found)
            else:
                held.bound.add(name)
                held.entries.pop(name, None)
                _LOG.error("a credential is refused: %s", found)
        for _, signer in self._provider.signers.each(since):
            for each in signer.credentials if isinstance(signer, Signer) else ():
                self._bind(held, each.encode())
        return held

    @staticmethod
    def _bind(held: _Credentials, name: bytes) -> None:
        """One that a signer names, though its own record, of an earlier release, says nothing."""
        held.bound.add(name)
        entry = held.entries.get(name)
        if entry is not None and entry.caller is not None and entry.caller_due is not None:
            held.entries[name] = entry._replace(
                caller=replace(entry.caller, bound=True),
                caller_due=replace(entry.caller_due, bound=True),
            )

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
