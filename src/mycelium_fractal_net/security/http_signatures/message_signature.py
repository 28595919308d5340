"""Signing an HTTP message and verifying it: RFC 9421 sections 3 and 4.

A server reads the signatures of a request, chooses one by its tag, asks :mod:`.coverage` whether
it covers enough and is in time, finds the registered signer by ``keyid``, and verifies::

    signature = choose_by_tag(parse_signatures(request))
    check_coverage(signature, request, has_body=True)
    check_times(signature, now=time.time(), skew=5)
    verify(signature, request, key)
    check_content_digest(request.fields[b"content-digest"], body)

Signatures are 64 bytes of Ed25519, or ``r || s`` of ECDSA: 64 bytes on P-256, 96 on P-384.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct, ValidationError, convert
from msgspec.structs import asdict

from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.components import Covered, covered, named
from mycelium_fractal_net.security.http_signatures.messages import RequestView, ResponseView
from mycelium_fractal_net.security.http_signatures.structured_fields import (
    InnerList,
    parse_byte_sequences,
    parse_inner_lists,
    serialise_byte_sequences,
    serialise_key,
    serialise_parameters,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey


TAG: Final = "mycelium-fractal-net"
"""What marks the one signature, of several on a request, that is meant for us."""

ALGORITHMS: Final = {
    "Ed25519": "ed25519",
    "ECDSA-P256": "ecdsa-p256-sha256",
    "ECDSA-P384": "ecdsa-p384-sha384",
}
"""Our algorithms and their names in RFC 9421 section 6.2.2. No other key signs messages."""

# Printable ASCII, the tab that a field value may have, and the line feed between lines.
_ALLOWED: Final = bytes([0x09, 0x0A, *range(0x20, 0x7F)])


class SignatureParameters(Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """RFC 9421 section 2.3, in the order they are written here. Times are Unix seconds."""

    created: int | None = None
    expires: int | None = None
    keyid: str | None = None
    nonce: str | None = None
    alg: str | None = None
    tag: str | None = None


class Candidate(Struct, frozen=True, gc=False):
    """A signature that a message bears, of which nothing is known but that it is well formed."""

    label: str
    input: InnerList
    signature: bytes


class MessageSignature(Struct, frozen=True, gc=False):
    """A signature whose components and parameters are understood. Not verified yet."""

    label: str
    covered: Covered
    parameters: SignatureParameters
    text: str
    """The serialised inner list with its parameters, which is signed."""

    signature: bytes

    @classmethod
    def of(cls, candidate: Candidate) -> MessageSignature:
        """Raises :class:`InvalidSignatureError` for a component or parameter that is unknown."""
        try:
            parameters = convert(candidate.input.parameters, SignatureParameters)
        except ValidationError:
            raise InvalidSignatureError from None
        return cls(
            candidate.label,
            covered(candidate.input.items),
            parameters,
            candidate.input.text,
            candidate.signature,
        )


def signature_base(message: RequestView | ResponseView, covered: Covered, parameters: str) -> bytes:
    """The bytes that are signed (section 2.5): ASCII, lines ended by LF but for the last.

    :param parameters: the serialised inner list with its parameters, as in ``Signature-Input``.
    :raises InvalidSignatureError: the message lacks a component; a value has a line break, a
        folded line included, another control character, or is not ASCII; or the components are
        not such of this kind of message.
    """
    if isinstance(message, RequestView):
        if not covered.in_request:
            raise InvalidSignatureError
        lines = [line + value(message) for line, value, _ in covered.components]
    else:
        if not covered.in_response:
            raise InvalidSignatureError
        lines = [
            line + value(message.request if of_request else message)
            for line, value, of_request in covered.components
        ]
    lines.append(b'"@signature-params": ' + parameters.encode("ascii"))
    base = b"\n".join(lines)
    # Whoever could put a line break into a value could put whole components there.
    if base.translate(None, _ALLOWED) or base.count(b"\n") != len(covered.components):
        raise InvalidSignatureError
    return base


def sign(
    message: RequestView | ResponseView,
    *,
    label: str,
    components: Iterable[str],
    parameters: SignatureParameters,
    signer: Callable[[bytes], bytes],
) -> tuple[str, str]:
    """The members of ``Signature-Input`` and of ``Signature``, to be set or appended by ``, ``.

    :param label: ``sig1`` or such; not signed.
    :param components: as :func:`~.components.named` takes them.
    :param signer: gives the signature of bytes, such as ``SigningKey.sign_fixed_size``.
    :raises InvalidInputError: a component is unknown, doubled, not in the message or cannot be
        signed as it is there; a label or parameter cannot be written.
    """
    items = named(components)
    given = {name: value for name, value in asdict(parameters).items() if value is not None}
    text = f"({items}){serialise_parameters(given)}"
    try:
        base = signature_base(message, covered(items), text)
    except InvalidSignatureError:
        raise InvalidInputError("the message lacks a component to sign, or is malformed") from None
    return (
        f"{serialise_key(label)}={text}",
        serialise_byte_sequences({label: signer(base)}),
    )


def parse_signatures(message: RequestView | ResponseView) -> list[Candidate]:
    """The signatures that a message bears, in their order; none where it has neither field.

    :raises InvalidSignatureError: one field is there without the other, is malformed, or has a
        label that the other has not (RFC 9421 section 4.2).
    """
    inputs_field = message.fields.get(b"signature-input")
    signatures_field = message.fields.get(b"signature")
    if inputs_field is None or signatures_field is None:
        if inputs_field is signatures_field:
            return []
        raise InvalidSignatureError
    inputs = parse_inner_lists(inputs_field.strip(b" \t"))
    signatures = parse_byte_sequences(signatures_field.strip(b" \t"))
    if inputs.keys() != signatures.keys():
        raise InvalidSignatureError
    return [Candidate(label, each, signatures[label]) for label, each in inputs.items()]


def choose_by_tag(candidates: Sequence[Candidate], tag: str = TAG) -> MessageSignature:
    """The one with that tag. The others are whatever their makers meant by them.

    :raises InvalidSignatureError: none has it, or several have; or it has a component or
        parameter that is unknown.
    """
    chosen = [each for each in candidates if each.input.parameters.get("tag") == tag]
    if len(chosen) != 1:
        raise InvalidSignatureError
    return MessageSignature.of(chosen[0])


def verify(
    signature: MessageSignature, message: RequestView | ResponseView, key: VerifyingKey
) -> None:
    """Return if the signature is one of the message under ``key``, by the key's algorithm.

    Says nothing of coverage, times, the nonce or the body: they are the caller's to check.

    :raises InvalidSignatureError: it is not; the key is of no algorithm for messages; or the
        signature names another one in ``alg``.
    """
    algorithm = ALGORITHMS.get(key.algorithm)
    if algorithm is None or signature.parameters.alg not in (None, algorithm):
        raise InvalidSignatureError
    base = signature_base(message, signature.covered, signature.text)
    key.verify_fixed_size(base, signature.signature)
