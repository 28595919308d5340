"""The plan's profile of a signed request: ``X-Signature`` with ``X-Public-Key``.

Signed are ten lines joined by LF::

    mycelium-fractal-net/request/v1
    method
    authority
    raw path
    raw query
    API key id, or -
    content type, or -
    timestamp
    nonce
    SHA-256 of the body, 64 lower-case hex digits

Four headers carry it: ``X-Signature`` the signature in base64, in the form of RFC 9421 (64 bytes
for Ed25519, ``r || s`` for ECDSA); ``X-Public-Key`` the DER public key in base64, or the 32 bytes
of an Ed25519 key; ``X-Signature-Timestamp`` Unix seconds; ``X-Signature-Nonce`` 22 to 64 base64url
characters. The public key names a registered signer, and is trusted for nothing else.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.components import covered
from mycelium_fractal_net.security.http_signatures.message_signature import ALGORITHMS
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.http_signatures.structured_fields import canonical_base64

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey


TIMESTAMP_SECONDS: Final = 300  # how far a timestamp may lie from the verifier's clock, either way
_HEADERS: Final = (
    b"x-signature",
    b"x-public-key",
    b"x-signature-timestamp",
    b"x-signature-nonce",
)
_LABEL: Final = b"mycelium-fractal-net/request/v1"
_MAX_SIGNATURE_CHARACTERS: Final = 128  # base64 of the 96 bytes of P-384
_MAX_KEY_CHARACTERS: Final = 160  # base64 of the 120 bytes of P-384
_ED25519_KEY_BYTES: Final = 32
_ED25519_SPKI: Final = bytes.fromhex("302a300506032b6570032100")  # RFC 8410 section 4

_timestamp: Final = re.compile(rb"0|[1-9][0-9]{0,11}")
_nonce: Final = re.compile(rb"[A-Za-z0-9_-]{22,64}")
_key_id: Final = re.compile(rb"[a-z0-9]{1,64}")
_content_type: Final = re.compile(rb"(?!-\Z)[!-~](?:[ -~]*[!-~])?")
_digest: Final = re.compile(r"[0-9a-f]{64}")
# Their values have no line break and one spelling: those of RFC 9421.
_target: Final = covered('"@method" "@authority" "@path" "@query"').components


class PlanSignature(Struct, frozen=True):
    """What the four headers say. Not verified yet."""

    signature: bytes
    public_key: bytes
    """The DER SubjectPublicKeyInfo, whose SHA-256 names a registered signer."""

    timestamp: int
    nonce: str


def bears_plan_signature(request: RequestView) -> bool:
    """Whether one of the four headers is there."""
    return not request.fields.keys().isdisjoint(_HEADERS)


def parse_plan_signature(request: RequestView) -> PlanSignature:
    """Read the four headers.

    :raises InvalidSignatureError: one is missing, is there twice, or is not as it must be.
    """
    signature, key, timestamp, nonce = _values(request, _HEADERS)
    if not _timestamp.fullmatch(timestamp) or not _nonce.fullmatch(nonce):
        raise InvalidSignatureError
    return PlanSignature(*_decoded(signature, key), int(timestamp), nonce.decode("ascii"))


def parse_body_signature(request: RequestView) -> tuple[bytes, bytes]:
    """Signature and DER public key of the plan's first sketch, which signs the body alone.

    :raises InvalidSignatureError: one is missing, there is a timestamp, or one is not base64.
    """
    if b"x-signature-timestamp" in request.fields:
        raise InvalidSignatureError
    return _decoded(*_values(request, _HEADERS[:2]))


def _values(request: RequestView, names: Sequence[bytes]) -> list[bytes]:
    try:
        return [request.fields[name].strip(b" \t") for name in names]
    except KeyError:
        raise InvalidSignatureError from None


def _decoded(signature: bytes, key: bytes) -> tuple[bytes, bytes]:
    """The signature and the DER public key of the two headers' base64."""
    if len(signature) > _MAX_SIGNATURE_CHARACTERS or len(key) > _MAX_KEY_CHARACTERS:
        raise InvalidSignatureError
    public_key = canonical_base64(key)
    if len(public_key) == _ED25519_KEY_BYTES:
        public_key = _ED25519_SPKI + public_key
    return canonical_base64(signature), public_key


def check_timestamp(signature: PlanSignature, *, now: float) -> None:
    """Return if the timestamp is at most :data:`TIMESTAMP_SECONDS` from ``now``, either way.

    :raises InvalidSignatureError: it is not.
    """
    if not abs(now - signature.timestamp) <= TIMESTAMP_SECONDS:  # so that no number is refused too
        raise InvalidSignatureError


def canonical_request(
    request: RequestView,
    *,
    api_key_id: str | None,
    timestamp: int,
    nonce: str,
    body_sha256: str,
) -> bytes:
    """The ten lines that are signed.

    :param api_key_id: the 16 characters that name the credential of the API key, if one is sent.
    :param body_sha256: the lower-case hex SHA-256 of the body as sent, also of an empty one.
    :raises InvalidSignatureError: one of the values cannot stand on its line, or stands for two.
    """
    key_id = b"-" if api_key_id is None else api_key_id.encode("ascii", "replace")
    kind = request.fields.get(b"content-type")
    lines = [
        *(component.value(request) for component in _target),
        key_id,
        b"-" if kind is None else kind.strip(b" \t"),
        b"%d" % timestamp,
        nonce.encode("ascii", "replace"),
    ]
    lines[3] = lines[3][1:]  # the query without its question mark
    if (
        (api_key_id is not None and not _key_id.fullmatch(key_id))
        or (kind is not None and not _content_type.fullmatch(lines[5]))
        or not _timestamp.fullmatch(lines[6])
        or not _nonce.fullmatch(lines[7])
        or not _digest.fullmatch(body_sha256)
    ):
        raise InvalidSignatureError
    return b"\n".join((_LABEL, *lines, body_sha256.encode("ascii")))


def sign_plan(
    request: RequestView,
    *,
    api_key_id: str | None,
    timestamp: int,
    nonce: str,
    body_sha256: str,
    public_key: bytes,
    signer: Callable[[bytes], bytes],
) -> list[tuple[str, str]]:
    """The four headers that sign a request.

    :param public_key: DER SubjectPublicKeyInfo.
    :param signer: as in :func:`~.message_signature.sign`.
    :raises InvalidInputError: a value cannot be signed as it is.
    """
    try:
        signed = canonical_request(
            request,
            api_key_id=api_key_id,
            timestamp=timestamp,
            nonce=nonce,
            body_sha256=body_sha256,
        )
    except InvalidSignatureError:
        raise InvalidInputError("the request or its nonce cannot be signed as it is") from None
    return [
        ("X-Signature", _base64(signer(signed))),
        ("X-Public-Key", _base64(public_key)),
        ("X-Signature-Timestamp", str(timestamp)),
        ("X-Signature-Nonce", nonce),
    ]


def verify_plan(
    signature: PlanSignature,
    request: RequestView,
    key: VerifyingKey,
    *,
    api_key_id: str | None,
    body_sha256: str,
) -> None:
    """Return if the signature is one of the request under ``key``, the registered signer's.

    Says nothing of the timestamp's distance or of the nonce's use: they are the caller's to check.

    :raises InvalidSignatureError: it is not; the header names another key; or the key is of no
        algorithm for messages.
    """
    if key.algorithm not in ALGORITHMS or key.der() != signature.public_key:
        raise InvalidSignatureError
    signed = canonical_request(
        request,
        api_key_id=api_key_id,
        timestamp=signature.timestamp,
        nonce=signature.nonce,
        body_sha256=body_sha256,
    )
    key.verify_fixed_size(signed, signature.signature)


def _base64(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode("ascii")
