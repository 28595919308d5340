"""What a signature is made of or checked against: a request, or an answer with its request.

Frozen views of what a server received or a client is about to send; nothing here parses HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import force_setattr

from mycelium_fractal_net.security.errors import InvalidSignatureError
from mycelium_fractal_net.security.records.api_keys import PresentedKey, parse

_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}  # RFC 9110 sections 4.2.1 and 4.2.2
_AUTHORITIES: Final = 64  # a service has one or two
# RFC 3986 section 3.2 without user information, in lower case: a name or address, and a port.
_authority: Final = re.compile(r"(?:[a-z0-9._~%!$&'()*+,;=-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class RequestView(Struct, frozen=True, gc=False):
    """A request in origin form (RFC 9112 section 3.2.1); ``scheme`` is in lower case.

    ``authority`` is the one that the request was made to: a server takes it from its
    configuration, never from the request. ``raw_path`` and ``raw_query`` are as sent,
    still percent-encoded; the query is without its ``?`` and empty where there is none, so that
    ``/a`` and ``/a?`` are the same. The names of ``headers`` are in lower case.
    """

    method: str
    scheme: str
    authority: str
    raw_path: bytes
    raw_query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    fields: Mapping[bytes, bytes] = field(default_factory=dict)
    """Made of ``headers``: what stands on several lines is joined by ``, `` in its order."""
    _presented: PresentedKey | UnsetType | None = UNSET

    @property
    def presented(self) -> PresentedKey | None:
        """The ``X-API-Key``, read once for all who ask; None where there is none."""
        found = self._presented
        if found is UNSET:
            api_key = self.fields.get(b"x-api-key")
            found = None if api_key is None else parse(api_key.strip(b" \t"))
            force_setattr(self, "_presented", found)
        return found

    def __post_init__(self) -> None:
        force_setattr(self, "fields", _combined(self.headers))

    def __repr__(self) -> str:  # headers and queries hold secrets
        return f"RequestView({self.method!r})"


class ResponseView(Struct, frozen=True, gc=False):
    """An answer with the request that it answers. ``status`` has three digits."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    request: RequestView
    fields: Mapping[bytes, bytes] = field(default_factory=dict)
    """As :attr:`RequestView.fields`."""

    def __post_init__(self) -> None:
        force_setattr(self, "fields", _combined(self.headers))

    def __repr__(self) -> str:
        return f"ResponseView({self.status!r})"


def _combined(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """RFC 9110 section 5.2. The blanks around a value that stands alone are its reader's."""
    fields = dict(headers)
    if len(fields) != len(headers):
        lines: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            lines.setdefault(name, []).append(value.strip(b" \t"))
        fields = {name: b", ".join(values) for name, values in lines.items()}
    return fields


@lru_cache(_AUTHORITIES)
def normalised_authority(scheme: str, authority: str) -> bytes:
    """In lower case and without the default port (RFC 9110 section 4.2.3).

    :raises InvalidSignatureError: it is none, or has user information.
    """
    lower = authority.lower()
    if not _authority.fullmatch(lower):
        raise InvalidSignatureError
    return lower.removesuffix(_DEFAULT_PORTS.get(scheme, ":")).encode("ascii")
