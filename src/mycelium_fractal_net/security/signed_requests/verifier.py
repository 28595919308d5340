"""Verifying that a request was signed by a registered signer, just now, and only once.

Steps, of which each must hold: one profile (RFC 9421 or the plan's), well formed; enough covered;
in time; a registered signer, who signs for that credential; his signature; the body's digest; a
nonce that nobody used. The nonce comes last, so that nobody burns one with a signature that is not
valid.
"""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec, TypeVar

from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.errors import InvalidSignatureError, StoreUnavailableError
from mycelium_fractal_net.security.http_signatures.content_digest import (
    BodyDigest,
    check_content_digest,
)
from mycelium_fractal_net.security.http_signatures.coverage import check_coverage, check_times
from mycelium_fractal_net.security.http_signatures.message_signature import (
    choose_by_tag,
    parse_signatures,
    verify,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.http_signatures.plan_profile import (
    TIMESTAMP_SECONDS,
    bears_plan_signature,
    check_timestamp,
    parse_body_signature,
    parse_plan_signature,
    verify_plan,
)
from mycelium_fractal_net.security.signed_requests.replay import Nonce, nonce_digest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mycelium_fractal_net.security.directories.signers import KnownSigner, SignerDirectory
    from mycelium_fractal_net.security.signed_requests.replay import ReplayGuard

_P = ParamSpec("_P")
_R = TypeVar("_R")
_SIGNATURE_FIELDS: Final = (b"signature", b"signature-input")
_MICROSECONDS: Final = 1_000_000  # in a second
_NO_BODY: Final = sha256(b"").hex()


def bears_signature(request: RequestView) -> bool:
    """Whether a header of either profile is there."""
    fields = request.fields
    return any(name in fields for name in _SIGNATURE_FIELDS) or bears_plan_signature(request)


def credential_id_of(request: RequestView) -> str | None:
    """The id in the ``X-API-Key`` of a request, as it says; None where it has none.

    Whether the secret is right is for others to find out. One that is no API key has no id, and
    no signer signs for it: the id is empty.
    """
    presented = request.presented
    return None if presented is None else presented.credential_id.decode("ascii", "replace")


class SignedHead(NamedTuple):
    """A request whose head was verified. Its body and its nonce were not looked at yet.

    ``digest`` takes the body where it flows, and is None where all of it was there. The form of
    the plan's profile that signs the body alone has no nonce.
    """

    signer: str
    nonce: Nonce | None
    digest: BodyDigest | None


class RequestVerifier:
    """Verifies requests to one authority. Used on one event loop.

    ``authority`` is the host, with the port where it is not the default, that requests are made
    to; it never comes from the request. ``skew_seconds`` is how far clocks may be apart.

    ``body_only`` accepts the plan's sketch as well: ``X-Signature`` over the body alone, without
    timestamp and nonce, by a registered key. Such a request can be sent again, and elsewhere: it
    is for development. ``in_thread`` runs what has to wait for the store.
    """

    def __init__(
        self,
        signers: SignerDirectory,
        guard: ReplayGuard,
        *,
        authority: str,
        skew_seconds: int = 30,
        body_only: bool = False,
        clock: Callable[[], float] = time.time,
        in_thread: Callable[..., Awaitable[Any]] = asyncio.to_thread,
    ) -> None:
        self.authority = authority
        self._in_thread = in_thread
        self._body_only = body_only
        self._signers = signers
        self._nonces = _Nonces(guard)
        self._skew_seconds = skew_seconds
        self._clock = clock

    async def is_bound(self, credential_id: str) -> bool:
        """Whether that credential works only with a signature."""
        return bool(await self._beside(self._signers.is_bound, credential_id))

    async def verify(self, request: RequestView, body: bytes) -> str:
        """The name of the signer of a whole request, whose nonce is taken by this.

        Raises :class:`InvalidSignatureError`, with one text, and :class:`StoreUnavailableError`.
        """
        head = await self._beside(self._verify, request, body)
        await self._take_nonce(head)
        return head.signer

    async def verify_head(self, request: RequestView) -> SignedHead:
        """Verify the head of a request whose body will flow, by RFC 9421 alone; takes its nonce.

        The plan's profile signs the body itself, so it cannot be verified before that is here.
        """
        head = await self._beside(self._verify_flowing, request)
        await self._take_nonce(head)
        return head

    async def _take_nonce(self, head: SignedHead) -> None:
        """Raise :class:`InvalidSignatureError` where its nonce was used before."""
        if head.nonce is not None and not await self._nonces.take(head.nonce):
            raise InvalidSignatureError

    async def _beside(self, work: Callable[_P, _R], *arguments: _P.args, **named: _P.kwargs) -> _R:
        """What ``work`` returns: at once where it has all it needs, else from a thread."""
        try:
            with blocking.refusing():
                return work(*arguments, **named)
        except blocking.WouldBlockError:
            result: _R = await self._in_thread(functools.partial(work, *arguments, **named))
            return result

    # The steps ----------------------------------------------------------------------------

    def _verify(self, request: RequestView, body: bytes) -> SignedHead:
        if bears_plan_signature(request):
            return self._verify_plan(request, body)
        head = self._verify_message(request, bool(body))
        field = request.fields.get(b"content-digest")
        if field is not None:
            check_content_digest(field.strip(b" \t"), body)
        return head

    def _verify_flowing(self, request: RequestView) -> SignedHead:
        if bears_plan_signature(request):
            raise InvalidSignatureError
        head = self._verify_message(request, True)
        field = request.fields.get(b"content-digest", b"")  # which is covered, so it is there
        return head._replace(digest=BodyDigest(field.strip(b" \t")))

    def _verify_message(self, request: RequestView, has_body: bool) -> SignedHead:
        """RFC 9421 section 3.2, of a request that bears no signature of the plan's profile."""
        signature = choose_by_tag(parse_signatures(request))
        check_coverage(signature, request, has_body=has_body)
        check_times(signature, now=self._clock(), skew=self._skew_seconds)
        parameters = signature.parameters
        known = self._signers.by_name(parameters.keyid or "")
        self._check_made_since_restore(parameters.created or 0, self._skew_seconds)
        self._check_signs_for(known, request)
        verify(signature, request, known.verifying)
        return self._head(known, parameters.nonce or "", parameters.expires or 0)

    def _verify_plan(self, request: RequestView, body: bytes) -> SignedHead:
        if any(name in request.fields for name in _SIGNATURE_FIELDS):
            raise InvalidSignatureError  # two profiles on one request
        if self._body_only and b"x-signature-nonce" not in request.fields:
            return self._verify_body_only(request, body)
        signature = parse_plan_signature(request)
        check_timestamp(signature, now=self._clock())
        known = self._signers.by_public_key(signature.public_key)
        self._check_made_since_restore(signature.timestamp, TIMESTAMP_SECONDS)
        self._check_signs_for(known, request)
        verify_plan(
            signature,
            request,
            known.verifying,
            api_key_id=credential_id_of(request),
            body_sha256=sha256(body).hex() if body else _NO_BODY,
        )
        expires = signature.timestamp + TIMESTAMP_SECONDS
        return self._head(known, signature.nonce, expires)

    def _verify_body_only(self, request: RequestView, body: bytes) -> SignedHead:
        signature, public_key = parse_body_signature(request)
        known = self._signers.by_public_key(public_key)
        self._check_signs_for(known, request)
        known.verifying.verify_fixed_size(body, signature)
        return SignedHead(known.signer.name, None, None)

    def _check_made_since_restore(self, created: int, apart: int) -> None:
        """Raise where the signature may be of before the store was restored from a backup.

        Its nonce may have been taken in the store before, which is not there any more. The signer's
        clock may have been ``apart`` seconds ahead. Called once the signers are fresh.
        """
        restored_at = self._signers.restored_at
        if (
            restored_at is not None
            and created * _MICROSECONDS <= restored_at + apart * _MICROSECONDS
        ):
            raise InvalidSignatureError

    def _check_signs_for(self, known: KnownSigner, request: RequestView) -> None:
        """Raise unless the signer signs for the credential of the request, if that has one.

        One that some signer names works only with those that name it.
        """
        signer, credential_id = known.signer, credential_id_of(request)
        if credential_id is None:
            allowed = signer.any_credential
        elif signer.any_credential:
            allowed = bool(credential_id) and not self._signers.is_bound(credential_id)
        else:
            allowed = signer.signs_for(credential_id)
        if not allowed:
            raise InvalidSignatureError

    def _head(self, known: KnownSigner, nonce: str, expires: int) -> SignedHead:
        taken = Nonce(nonce_digest(known.thumbprint, nonce), expires)
        return SignedHead(known.signer.name, taken, None)


class _Nonces:
    """The nonces of one round of an event loop, taken together."""

    def __init__(self, guard: ReplayGuard) -> None:
        self._guard = guard
        self._waiting: list[tuple[Nonce, asyncio.Future[bool]]] = []

    async def take(self, nonce: Nonce) -> bool:
        """Whether nobody took it before. Raises :class:`StoreUnavailableError`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._submit, loop)
        self._waiting.append((nonce, future))
        return await future

    def _submit(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, self._waiting = self._waiting, []

        def done(taken: list[bool] | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, [future for _, future in waiting], taken)

        self._guard.submit([nonce for nonce, _ in waiting], done)


def _settle(futures: Sequence[asyncio.Future[bool]], taken: list[bool] | None) -> None:
    for place, future in enumerate(futures):
        if future.done():
            continue
        if taken is None:
            future.set_exception(StoreUnavailableError("the nonces of requests cannot be stored"))
        else:
            future.set_result(taken[place])
