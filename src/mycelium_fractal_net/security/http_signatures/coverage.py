"""What a signature must cover, and when it holds, before it says anything of a message.

RFC 9421 section 3.2.1 leaves both to the application. A signature that covers less is valid on
another message too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mycelium_fractal_net.security.errors import InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.message_signature import TAG, MessageSignature
from mycelium_fractal_net.security.http_signatures.messages import RequestView, ResponseView

_MAX_NONCE_CHARACTERS: Final = 256  # the replay store keeps a hash; this bounds its input
_URI: Final = frozenset({"@method", "@target-uri"})
_PARTS: Final = frozenset({"@method", "@authority", "@path", "@query"})
BODY_FIELDS: Final = frozenset({"content-digest", "content-type"})
_STATUS: Final = frozenset({"@status"})
_SIGNATURE: Final = frozenset({"signature"})
_LIFETIME_SECONDS: Final = 300  # by which ``expires`` may be later than ``created``

WHEN_SENT: Final = ("x-api-key", "x-associated-data")
"""Header fields, in lower case, that must be covered in a message that has them: all that change
what a route of ours does, but for those of a body."""


def announces_body(request: RequestView) -> bool:
    """Whether a body comes, as far as the head says: in HTTP/2 one may come unannounced."""
    fields = request.fields
    return (
        fields.get(b"content-length", b"0").strip(b" \t") != b"0" or b"transfer-encoding" in fields
    )


def check_coverage(
    signature: MessageSignature,
    request: RequestView,
    *,
    has_body: bool,
    when_sent: Iterable[str] = WHEN_SENT,
) -> None:
    """Return if the signature covers what it must in a request.

    That is ``@method``; ``@target-uri``, or ``@authority`` with ``@path`` and ``@query``;
    ``content-digest`` and ``content-type`` where there is a body; what is in ``when_sent``. It has
    ``created``, ``expires``, ``keyid``, ``nonce`` and our tag. More may be covered.

    :param has_body: whether one was sent or announced, of whatever length.
    :raises InvalidSignatureError: something is missing.
    """
    _check_lifetime(signature)
    if not 0 < len(signature.parameters.nonce or "") <= _MAX_NONCE_CHARACTERS:
        raise InvalidSignatureError
    names = signature.covered.names
    if not (names >= _URI or names >= _PARTS) or (has_body and not names >= BODY_FIELDS):
        raise InvalidSignatureError
    _check_when_sent(signature, request, when_sent)


def check_response_coverage(
    signature: MessageSignature,
    response: ResponseView,
    *,
    has_body: bool,
    when_sent: Iterable[str] = WHEN_SENT,
) -> None:
    """Return if the signature covers what it must in an answer, and is bound to its request.

    That is ``@status``; the two fields of a body; what is in ``when_sent``. Bound it is by
    ``"signature";req`` where the request was signed, whose nonce makes it one of a kind, else by
    the request's method and target with ``req``. It has the parameters of a request's signature
    but for the nonce.

    :raises InvalidSignatureError: something is missing.
    """
    _check_lifetime(signature)
    names, of_request = signature.covered.names, signature.covered.request_names
    if not names >= _STATUS or (has_body and not names >= BODY_FIELDS):
        raise InvalidSignatureError
    if b"signature" in response.request.fields:
        bound = of_request >= _SIGNATURE
    else:
        bound = of_request >= _URI or of_request >= _PARTS
    if not bound:
        raise InvalidSignatureError
    _check_when_sent(signature, response, when_sent)


def check_times(signature: MessageSignature, *, now: float, skew: float) -> None:
    """Return if the signature holds at ``now``.

    :param now: Unix seconds.
    :param skew: by how many seconds the two clocks may differ, either way.
    :raises InvalidSignatureError: it was not made yet, has expired, or has no times.
    """
    created, expires = signature.parameters.created, signature.parameters.expires
    if created is None or expires is None or not created - skew <= now <= expires + skew:
        raise InvalidSignatureError


def _check_lifetime(signature: MessageSignature) -> None:
    parameters = signature.parameters
    created, expires = parameters.created, parameters.expires
    if created is None or expires is None or not parameters.keyid:
        raise InvalidSignatureError
    if not 0 < expires - created <= _LIFETIME_SECONDS or parameters.tag != TAG:
        raise InvalidSignatureError


def _check_when_sent(
    signature: MessageSignature, message: RequestView | ResponseView, when_sent: Iterable[str]
) -> None:
    for name in when_sent:
        if name.encode("ascii") in message.fields and name not in signature.covered.names:
            raise InvalidSignatureError
