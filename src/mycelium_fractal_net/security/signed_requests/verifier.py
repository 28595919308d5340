"""Verifying that a request was signed by a registered signer, just now, and only once.

The head is judged before a byte of the body is read: one profile (RFC 9421 or the plan's), well
formed; enough covered; in time; a registered signer, who signs for that credential; by RFC 9421
the signature too, which is over the head alone. Then come the body with its digest, or the plan's
signature, and a nonce that nobody used. The nonce comes last, so that nobody burns one with a
signature that is not valid.
"""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec, TypeVar

from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.errors import InvalidSignatureError, MfnError
from mycelium_fractal_net.security.http_signatures.content_digest import (
    BodyDigest,
    check_content_digest,
)
from mycelium_fractal_net.security.http_signatures.coverage import (
    BODY_FIELDS,
    WHEN_SENT,
    announces_body,
    check_coverage,
    check_times,
)
from mycelium_fractal_net.security.http_signatures.message_signature import (
    TAG,
    choose_by_tag,
    parse_signatures,
    verify,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.http_signatures.plan_profile import (
    TIMESTAMP_SECONDS,
    PlanSignature,
    bears_plan_signature,
    check_timestamp,
    parse_body_signature,
    parse_plan_signature,
    verify_plan,
)
from mycelium_fractal_net.security.signed_requests.replay import Nonce, nonce_digest, unstored

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from mycelium_fractal_net.security.directories.signers import KnownSigner, SignerDirectory
    from mycelium_fractal_net.security.signed_requests.replay import ReplayGuard, Taken

_P = ParamSpec("_P")
_R = TypeVar("_R")
_SIGNATURE_FIELDS: Final = (b"signature", b"signature-input")
_MICROSECONDS: Final = 1_000_000  # in a second
_NO_BODY: Final = sha256(b"").hex()

# Why, for who serves.
_COVERS_TOO_LITTLE: Final = (
    "it covers too little, or has no keyid, no nonce, or not 300 seconds at most from created to"
    " expires"
)
_UNKNOWN: Final = "there is no such signer, or it was revoked"
_BEFORE_RESTORE: Final = "it may be of before the store was restored"
_NOT_FOR_CREDENTIAL: Final = "the signer does not sign for this credential, or for none"
_UNCOVERED_BY_PLAN: Final = "a header was sent that the plan's profile does not cover"
_DIFFERS: Final = (
    "the signature is not of this request as it came: made by another key, or for another method,"
    " authority (here it is {0}), path, query or covered header"
)


def bears_signature(request: RequestView) -> bool:
    """Whether a header of either profile is there."""
    return bears_plan_signature(request) or not request.fields.keys().isdisjoint(_SIGNATURE_FIELDS)


def credential_id_of(request: RequestView) -> str | None:
    """The id in the ``X-API-Key`` of a request, as it says; None where it has none.

    Whether the secret is right is for others to find out. One that is no API key has no id, and
    no signer signs for it: the id is empty.
    """
    presented = request.presented
    return None if presented is None else presented.credential_id.decode("ascii", "replace")


class RequestRefusedError(InvalidSignatureError):
    """Why a request is not accepted, for the log of who serves; the text is that of all others.

    ``keyid`` names the signer as the request does, for RFC 9421 as it was sent.
    """

    def __init__(self, reason: str, keyid: str = "") -> None:
        super().__init__()
        self.reason = reason
        self.keyid = keyid


class SignedHead(NamedTuple):
    """A request whose head is good. Its body and its nonce were not looked at yet.

    ``digest`` is the ``Content-Digest``, ``covers_body`` whether that and the type are signed;
    ``plan`` what the plan's profile signs with the body. Its form that signs the body alone has
    no nonce.
    """

    known: KnownSigner
    nonce: Nonce | None
    digest: bytes | None = None
    covers_body: bool = False
    plan: PlanSignature | bytes | None = None


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
        cover: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
        in_thread: Callable[..., Awaitable[Any]] = asyncio.to_thread,
    ) -> None:
        self.authority = authority
        self._in_thread = in_thread
        self._body_only = body_only
        self._cover = (*WHEN_SENT, *cover)
        self._signers = signers
        self._nonces = _Nonces(guard)
        self._skew_seconds = skew_seconds
        self._clock = clock

    async def is_bound(self, credential_id: str) -> bool:
        """Whether that credential works only with a signature."""
        return bool(await self._beside(self._signers.is_bound, credential_id))

    async def verify_head(self, request: RequestView) -> SignedHead:
        """All that can be known before the body is there.

        Raises :class:`RequestRefusedError` and :class:`StoreUnavailableError`.
        """
        return await self._beside(self._verify_head, request)

    async def finish(self, request: RequestView, head: SignedHead, body: bytes) -> str:
        """The name of the signer of a whole request, whose nonce is taken by this. Raises alike."""
        self._check_body(request, head, body)
        return await self._take_nonce(head)

    async def begin_flow(self, head: SignedHead) -> tuple[str, BodyDigest]:
        """The signer of a request whose body will flow, and what checks that; takes the nonce.

        By RFC 9421 alone: the plan's profile signs the body itself, so that it cannot be verified
        before that is here. Raises alike.
        """
        name = head.known.signer.name
        try:
            if not head.covers_body or head.digest is None:
                raise InvalidSignatureError
            digest = BodyDigest(head.digest)
        except InvalidSignatureError:
            reason = "a stream is signed by RFC 9421, over a content-digest and a content-type"
            raise RequestRefusedError(reason, name) from None
        return await self._take_nonce(head), digest

    async def _take_nonce(self, head: SignedHead) -> str:
        name = head.known.signer.name
        if head.nonce is not None and not await self._nonces.take(head.nonce):
            raise RequestRefusedError("its nonce was used before", name)
        return name

    async def _beside(self, work: Callable[_P, _R], *arguments: _P.args, **named: _P.kwargs) -> _R:
        """What ``work`` returns: at once where it has all it needs, else from a thread."""
        try:
            with blocking.refusing():
                return work(*arguments, **named)
        except blocking.WouldBlockError:
            result: _R = await self._in_thread(functools.partial(work, *arguments, **named))
            return result

    # The steps ----------------------------------------------------------------------------

    def _verify_head(self, request: RequestView) -> SignedHead:
        if not bears_plan_signature(request):
            return self._verify_message(request)
        if not request.fields.keys().isdisjoint(_SIGNATURE_FIELDS):
            raise RequestRefusedError("it bears signatures of both profiles")
        return self._read_plan(request)

    def _verify_message(self, request: RequestView) -> SignedHead:
        """RFC 9421 section 3.2, of a request that bears no signature of the plan's profile."""
        reason, keyid = f"it bears no well formed signature with the tag {TAG}", ""
        try:
            signature = choose_by_tag(parse_signatures(request))
            parameters = signature.parameters
            keyid = parameters.keyid or ""
            reason = _COVERS_TOO_LITTLE
            announced = announces_body(request)
            check_coverage(signature, request, has_body=announced, when_sent=self._cover)
            reason = ""
            check_times(signature, now=self._clock(), skew=self._skew_seconds)
            created = parameters.created or 0
            reason = _UNKNOWN
            known = self._signers.by_name(keyid)
            reason = _BEFORE_RESTORE
            self._check_made_since_restore(created, self._skew_seconds)
            reason = _NOT_FOR_CREDENTIAL
            self._check_signs_for(known, request)
            reason = _DIFFERS
            verify(signature, request, known.verifying)
        except InvalidSignatureError:
            if not reason:
                ago = self._clock() - (parameters.created or 0)
                left = (parameters.expires or 0) - self._clock()
                reason = f"it was created {ago:.0f} s ago and holds for {left:.0f} s, by this clock"
            raise RequestRefusedError(reason.replace("{0}", self.authority), keyid) from None
        return SignedHead(
            known,
            Nonce(nonce_digest(known.thumbprint, parameters.nonce or ""), parameters.expires or 0),
            request.fields.get(b"content-digest"),
            announced or signature.covered.names >= BODY_FIELDS,
        )

    def _read_plan(self, request: RequestView) -> SignedHead:
        """All but the signature, which is over the body too."""
        reason = "its four headers are not well formed"
        name = ""
        try:
            if self._body_only and b"x-signature-nonce" not in request.fields:
                read: PlanSignature | None = None
                sealed, public_key = parse_body_signature(request)
            else:
                read = parse_plan_signature(request)
                public_key = read.public_key
                reason = "its timestamp is not that of this clock, by 300 s and more"
                check_timestamp(read, now=self._clock())
            reason = _UNKNOWN
            known = self._signers.by_public_key(public_key)
            name = known.signer.name
            reason = _BEFORE_RESTORE
            if read is not None:
                self._check_made_since_restore(read.timestamp, TIMESTAMP_SECONDS)
            reason = _NOT_FOR_CREDENTIAL
            self._check_signs_for(known, request)
            reason = _UNCOVERED_BY_PLAN
            if any(each.encode() in request.fields for each in self._cover if each != "x-api-key"):
                raise InvalidSignatureError
        except InvalidSignatureError:
            raise RequestRefusedError(reason, name) from None
        if read is None:
            return SignedHead(known, None, plan=sealed)
        expires = read.timestamp + TIMESTAMP_SECONDS
        return SignedHead(
            known, Nonce(nonce_digest(known.thumbprint, read.nonce), expires), plan=read
        )

    def _check_body(self, request: RequestView, head: SignedHead, body: bytes) -> None:
        reason = "the body is not the one that was signed"
        try:
            if isinstance(head.plan, bytes):
                head.known.verifying.verify_fixed_size(body, head.plan)
            elif head.plan is not None:
                reason = _DIFFERS
                verify_plan(
                    head.plan,
                    request,
                    head.known.verifying,
                    api_key_id=credential_id_of(request),
                    body_sha256=sha256(body).hex() if body else _NO_BODY,
                )
            elif body and not head.covers_body:  # one that nothing had announced
                reason = _COVERS_TOO_LITTLE
                raise InvalidSignatureError
            elif head.digest is not None:
                check_content_digest(head.digest.strip(b" \t"), body)
        except InvalidSignatureError:
            name = head.known.signer.name
            raise RequestRefusedError(reason.replace("{0}", self.authority), name) from None

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

        def done(taken: Taken) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, [future for _, future in waiting], taken)

        self._guard.submit([nonce for nonce, _ in waiting], done)


def _settle(futures: Sequence[asyncio.Future[bool]], taken: Taken) -> None:
    for place, future in enumerate(futures):
        if future.done():
            continue
        if isinstance(taken, MfnError):
            future.set_exception(unstored(taken))
        else:
            future.set_result(taken[place])
