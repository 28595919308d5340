"""What a request gets that is refused for its signature, and what its owner's log says of it.

The answer has one text for every reason, so that nobody feels the way forward. The log line has
the reason, the request's id, which the answer has too, and the ``keyid`` as it was sent. Strangers
cannot fill a log with it: some lines a second are written, the others are counted.
"""

from __future__ import annotations

import json
import logging
import uuid
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import StoreUnavailableError
from mycelium_fractal_net.security.signed_requests.asgi import BodyTooLargeError
from mycelium_fractal_net.security.signed_requests.verifier import RequestRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.signed_requests.asgi import Receive, Scope, Send

_LOG: Final = logging.getLogger(__name__)
_LINES_A_SECOND: Final = 5
_KEYID_CHARACTERS: Final = 64  # names of signers have no more

_INVALID: Final = {
    "error": "Invalid signature",
    "type": "/problems/request-signature",
    "title": "The request is not signed as it must be",
    "status": 401,
    "detail": "one valid signature is needed, by a registered signer, of this request and no other",
}
_UNAVAILABLE: Final = {
    "type": "/problems/store-unavailable",
    "title": "The key store does not answer",
    "status": 503,
    "detail": "it cannot be read who must sign and who may; try again",
}
_NONCE_UNSTORED: Final = {
    **_UNAVAILABLE,
    "detail": "the request's nonce cannot be stored; sign it anew and try again",
}
_TOO_LARGE: Final = {
    "type": "/problems/too-large",
    "title": "The body is too large",
    "status": 413,
    "detail": "a signed body is read whole before it is handed on",
}


class Refusals:
    """Makes the answers of one application. ``note`` is told what each was, ``new_id`` gives ids.

    Used on one event loop.
    """

    def __init__(
        self, note: Callable[[str], None] | None = None, new_id: Callable[[], str] | None = None
    ) -> None:
        self._note = note or (lambda _: None)
        self._new_id = new_id or (lambda: uuid.uuid4().hex)
        self._since = -1.0
        self._lines = self._unlogged = 0

    def answer(self, error: Exception, *, verified: bool = False) -> Refusal:
        """The answer to a request that raised that error before it was handed on.

        ``verified`` is whether all but its nonce was found good.
        """
        request_id = self._new_id()
        if isinstance(error, RequestRefusedError):
            problem = _INVALID
        elif isinstance(error, BodyTooLargeError):
            problem = _TOO_LARGE
        else:  # the store, or the custodian of what authenticates it
            problem = _NONCE_UNSTORED if verified else _UNAVAILABLE
            if isinstance(error, StoreUnavailableError) and error.detail is not None:
                problem = {**problem, "detail": f"{problem['detail']}: {error.detail}"}
        self.tell(error, request_id)
        self._note(str(problem["type"]).rpartition("/")[2])
        return Refusal(problem, request_id)

    def tell(self, error: Exception, request_id: str | None = None) -> None:
        """Write to the log why; without an id, of a request that is handed on as unsigned."""
        if isinstance(error, BodyTooLargeError):
            return
        if isinstance(error, RequestRefusedError):
            reason, keyid = error.reason, error.keyid
        else:
            reason, keyid = str(error), ""
        now = monotonic()
        if now - self._since >= 1.0:
            if self._unlogged:
                _LOG.warning("%d more requests were refused for their signatures", self._unlogged)
            self._since, self._lines, self._unlogged = now, 0, 0
        if self._lines >= _LINES_A_SECOND:
            self._unlogged += 1
            return
        self._lines += 1
        by = f", keyid {keyid[:_KEYID_CHARACTERS]!r}" if keyid else ""
        if request_id is None:
            _LOG.warning("a request is taken to be unsigned%s: %s", by, reason)
        else:
            _LOG.warning("request %s was refused%s: %s", request_id, by, reason)


class Refusal:
    """An answer: an ASGI application, so that it serves where a framework's response does too."""

    def __init__(self, problem: dict[str, Any], request_id: str) -> None:
        self._problem = problem
        self._request_id = request_id

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        status = self._problem["status"]
        payload = json.dumps(self._problem).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(payload)),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-request-id", self._request_id.encode("latin-1")),
        ]
        if status == 401:
            headers.append((b"www-authenticate", b'Signature realm="mycelium-fractal-net"'))
        if status == 503:
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})
