"""The components that a signature covers, and the value of each: RFC 9421 section 2.

Known are the derived components of section 2.2 and header fields as they are. Of the parameters
of a component ``req`` is known, and ``name`` of ``@query-param``; ``sf``, ``key``, ``bs``, ``tr``
and whatever is not known yet is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct

from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.messages import (
    RequestView,
    ResponseView,
    normalised_authority,
)
from mycelium_fractal_net.security.http_signatures.structured_fields import (
    Item,
    parse_inner_lists,
    parse_items,
    serialise_item,
)

_REMEMBERED: Final = 256  # lists of components; a client covers the same ones in every request
_QUERY_PARAMETER: Final = "@query-param"
_STATUS: Final = "@status"

# The token of RFC 9110 section 5.6.2; field names are covered in lower case.
_field_name: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_method: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_scheme: Final = re.compile(r"[a-z][a-z0-9+.-]*")
# Printable, and without what would end a path or a query (RFC 3986 sections 3.3 and 3.4): two
# requests never give the same target.
_path: Final = re.compile(rb'/[!"$->@-~]*')
_query: Final = re.compile(rb'[!"$-~]*')
_broken_escape: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Component(NamedTuple):
    """One covered component.

    ``line`` is its serialised identifier with ``: `` behind it; ``value`` gives what follows,
    of the request where it is ``of_request``. It raises :class:`InvalidSignatureError` where the
    message has no such component, or one that cannot be signed.
    """

    line: bytes
    value: Callable[[Any], bytes]
    of_request: bool


class Covered(Struct, frozen=True, gc=False):
    """What one signature covers, in its order."""

    components: tuple[Component, ...]
    names: frozenset[str]
    """Those that stand without a parameter: what a policy may ask for."""

    request_names: frozenset[str]
    """Those that stand with ``req`` alone."""

    in_request: bool
    """Whether a request may have all of them."""

    in_response: bool
    """Whether an answer may: what derives from its request needs ``req`` there."""


@lru_cache(_REMEMBERED)
def covered(items: str) -> Covered:
    """Of the serialised items of an inner list.

    :raises InvalidSignatureError: one is unknown, has an unknown parameter, or is there twice,
        whatever the order of its parameters.
    """
    parsed = parse_items(items)
    if len({(item.value, frozenset(item.parameters.items())) for item in parsed}) != len(parsed):
        raise InvalidSignatureError
    components = tuple(map(_component, parsed))
    of_message = {item.value for item in parsed if "req" not in item.parameters}
    return Covered(
        components,
        frozenset(item.value for item in parsed if not item.parameters),
        frozenset(item.value for item in parsed if item.parameters == {"req": True}),
        in_request=_STATUS not in of_message and not any(each.of_request for each in components),
        in_response=of_message.isdisjoint((_QUERY_PARAMETER, *_DERIVED)),
    )


def named(names: Iterable[str]) -> str:
    """The serialised items for who signs: of ``@method``, ``content-type``, ``"@path";req``.

    A component with parameters is given as its serialised identifier.

    :raises InvalidInputError: one is unknown, or is there twice.
    """
    parts = [name if name.startswith('"') else f'"{name}"' for name in names]
    items = " ".join(parts)
    try:
        parsed = parse_inner_lists(f"all=({items})".encode())["all"]
        if parsed.items == items and len(covered(items).components) == len(parts):
            return items
    except InvalidSignatureError:
        pass
    raise InvalidInputError("a component to sign is unknown, or is there twice")


def _component(item: Item) -> Component:
    parameters = dict(item.parameters)
    of_request = parameters.pop("req", False)
    value: Callable[[Any], bytes]
    if item.value == _QUERY_PARAMETER:
        name = parameters.pop("name", None)
        if not isinstance(name, str):
            raise InvalidSignatureError
        value = partial(_query_parameter, name)
    elif item.value == _STATUS and not of_request:
        value = _status
    elif item.value in _DERIVED:
        value = _DERIVED[item.value]
    elif _field_name.fullmatch(item.value):
        value = partial(_field, item.value.encode("ascii"))
    else:
        raise InvalidSignatureError
    if parameters or of_request is not ("req" in item.parameters):  # "req=1" and "req=?0" too
        raise InvalidSignatureError
    return Component(f"{serialise_item(item)}: ".encode("ascii"), value, of_request is True)


@lru_cache(_REMEMBERED)
def _checked(pattern: re.Pattern[str], text: str) -> bytes:
    if not pattern.fullmatch(text):
        raise InvalidSignatureError
    return text.encode("ascii")


def _field(name: bytes, message: RequestView | ResponseView) -> bytes:
    try:
        return message.fields[name].strip(b" \t")
    except KeyError:
        raise InvalidSignatureError from None


def _status(response: ResponseView) -> bytes:
    if not 100 <= response.status <= 599:  # RFC 9110 section 15
        raise InvalidSignatureError
    return b"%d" % response.status


def _request_method(request: RequestView) -> bytes:
    return _checked(_method, request.method)


def _request_scheme(request: RequestView) -> bytes:
    return _checked(_scheme, request.scheme)


def _request_authority(request: RequestView) -> bytes:
    return normalised_authority(request.scheme, request.authority)


def _request_path(request: RequestView) -> bytes:
    path = request.raw_path or b"/"
    if not _path.fullmatch(path):
        raise InvalidSignatureError
    return path


def _request_query(request: RequestView) -> bytes:
    if not _query.fullmatch(request.raw_query):
        raise InvalidSignatureError
    return b"?" + request.raw_query


def _request_target(request: RequestView) -> bytes:
    path = _request_path(request)
    return path + _request_query(request) if request.raw_query else path


def _target_uri(request: RequestView) -> bytes:
    scheme, authority = _request_scheme(request), _request_authority(request)
    return scheme + b"://" + authority + _request_target(request)


def _query_parameter(encoded_name: str, request: RequestView) -> bytes:
    """The value of the parameter that is there once, percent-encoded anew: section 2.2.8.

    Stricter than the HTML form parser that the RFC cites, which turns what is no UTF-8 and no
    percent-encoding into something else: here it is refused.
    """
    pairs = [pair.partition(b"=") for pair in request.raw_query.split(b"&")]
    decoded = [(encoded(name), encoded(value)) for name, _, value in pairs]
    values = [value for name, value in decoded if name == encoded_name]
    if len(values) != 1 or not encoded_name:
        raise InvalidSignatureError
    return values[0].encode("ascii")


def encoded(raw: bytes) -> str:
    """``raw`` of a query, decoded and encoded again, so that it has one spelling.

    All but ASCII letters, digits and ``*-._`` is encoded, the space as ``%20``.
    """
    if _broken_escape.search(raw):
        raise InvalidSignatureError
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidSignatureError from None
    return quote(text, safe="*").replace("~", "%7E")  # quote() never encodes the tilde


_DERIVED: Final[dict[str, Callable[[RequestView], bytes]]] = {
    "@method": _request_method,
    "@target-uri": _target_uri,
    "@authority": _request_authority,
    "@scheme": _request_scheme,
    "@request-target": _request_target,
    "@path": _request_path,
    "@query": _request_query,
}
