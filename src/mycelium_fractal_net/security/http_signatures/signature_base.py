"""The bytes that a signature of an HTTP message signs: RFC 9421 section 2.5."""

from __future__ import annotations

from typing import Final

from mycelium_fractal_net.security.errors import InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.components import Covered
from mycelium_fractal_net.security.http_signatures.messages import RequestView, ResponseView

# Printable ASCII, the tab that a field value may have, and the line feed between lines.
_ALLOWED: Final = bytes([0x09, 0x0A, *range(0x20, 0x7F)])


def signature_base(message: RequestView | ResponseView, covered: Covered, parameters: str) -> bytes:
    """ASCII, lines ended by LF but for the last.

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
