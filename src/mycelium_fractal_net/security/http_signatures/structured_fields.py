"""The structured fields that signatures of HTTP messages are made of: RFC 9651, a strict subset.

Read are dictionaries of inner lists of strings with parameters (``Signature-Input``) and
dictionaries of byte sequences (``Signature``, ``Content-Digest``). A bare item is an integer, a
string, a token, a boolean or a byte sequence; decimals, dates and display strings are refused.

Stricter than the RFC, so that no two readers of a field can understand it differently:

- a key or a parameter that is there twice is refused, where the RFC takes the last one;
- a member has one spelling, the one that the RFC's serialiser gives: no second space, no ``01``,
  ``-0`` or ``;flag=?1``, no base64 with unused bits set or without its padding. Between members
  any blanks may stand, since intermediaries put them there;
- a byte sequence of a dictionary has no parameters;
- sizes are bounded.

So the text of a member *is* its serialisation, which is what RFC 9421 signs.

Readers raise :class:`InvalidSignatureError` and nothing else, without the input; writers
:class:`InvalidInputError`.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct

from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError

MAX_FIELD_BYTES: Final = 8192  # all lines of one field together; servers take no more per header
MAX_MEMBERS: Final = 8  # of a dictionary: signatures on one message, digests of one body
MAX_ITEMS: Final = 64  # of an inner list: covered components
MAX_PARAMETERS: Final = 16  # of an inner list or an item; RFC 9421 knows six and five
_REMEMBERED_LISTS: Final = 256  # each at most one field long

_MAX_INTEGER: Final = 999_999_999_999_999  # RFC 9651 section 3.3.1: 15 digits

# Every repetition is of one character and possessive, or followed by what it cannot begin with, and
# of parameters and items one more than may be: time is linear in the text. None of a group is
# possessive: Python before 3.11.5, as in Debian 12, then takes what the group only began to match,
# such as the "=" of ";n=" (CPython's gh-106052).
_KEY: Final = r"[a-z*][a-z0-9_\-.*]*+"  # section 3.1.2
_INTEGER: Final = r"0|-?[1-9][0-9]{0,14}+"
_CHARACTERS: Final = r'[ !#-\[\]-~]*+(?:\\["\\][ !#-\[\]-~]*+)*'
_STRING: Final = f'"{_CHARACTERS}"'
_WORD: Final = r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+"
_BASE64: Final = r"[A-Za-z0-9+/]*+={0,2}+"
_BYTES: Final = f":{_BASE64}:"
_BARE: Final = rf"{_STRING}|{_INTEGER}|{_WORD}|{_BYTES}|\?0"
_PARAMETERS: Final = rf"(?:;{_KEY}(?:=(?:{_BARE}))?){{0,{MAX_PARAMETERS + 1}}}"
_ITEM: Final = rf"{_STRING}{_PARAMETERS}"
_NEXT: Final = r"[ \t]*+(?:(,)[ \t]*+|\Z)"  # section 4.2.2; nothing may follow the last member

_key: Final = re.compile(_KEY)
_list_member: Final = re.compile(
    rf"({_KEY})=(\(((?:{_ITEM}(?: {_ITEM}){{0,{MAX_ITEMS}}})?)\)({_PARAMETERS})){_NEXT}"
)
# What nearly every client sends: names alone, then these parameters; all else is read as above.
_plain_list: Final = re.compile(rf"({_KEY})=\(({_STRING}(?: {_STRING})*)\)")
_TEXT: Final = r'"([ !#-\[\]-~]++)"'
_usual_parameters: Final = re.compile(
    rf";created=({_INTEGER});expires=({_INTEGER});keyid={_TEXT};nonce={_TEXT};tag={_TEXT}"
)
_bytes_member: Final = re.compile(rf"({_KEY})=:({_BASE64}):{_NEXT}".encode())
_item: Final = re.compile(rf'"({_CHARACTERS})"({_PARAMETERS})')
_parameter: Final = re.compile(  # its key, and a string that is not empty, an integer or the rest
    rf';({_KEY})(?:=(?:"(?!")({_CHARACTERS})"|({_INTEGER})|({_WORD}|{_BYTES}|\?0|"")))?'
)
_string: Final = re.compile(_STRING)
_token: Final = re.compile(_WORD)
_escaped: Final = re.compile(r'\\(["\\])')


class Token(Struct, frozen=True, gc=False):
    """A token. No string, so that ``tag=a`` never passes for ``tag="a"``."""

    text: str


BareItem = int | str | bool | bytes | Token
"""A value. True as a parameter is written as its bare name."""


class Item(Struct, frozen=True, gc=False):
    """A string with its parameters, as one covered component is named."""

    value: str
    parameters: dict[str, BareItem]


class InnerList(Struct, frozen=True, gc=False):
    """A member of ``Signature-Input``.

    ``text`` is its serialisation, brackets and parameters included; ``items`` that between the
    brackets, for :func:`parse_items`.
    """

    text: str
    items: str
    parameters: dict[str, BareItem]


# Reading -------------------------------------------------------------------------------------


def parse_inner_lists(field: bytes) -> dict[str, InnerList]:
    """A dictionary of inner lists, in its order; without blanks around it, and not empty."""
    if len(field) > MAX_FIELD_BYTES:
        raise InvalidSignatureError
    try:
        text = field.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidSignatureError from None
    ends = text.find(")") + 1
    plain = _plain(text[:ends])
    if plain is not None and (usual := _usual_parameters.fullmatch(text, ends)) is not None:
        label, items = plain
        created, expires, keyid, nonce, tag = usual.groups()
        values: dict[str, BareItem] = {
            "created": int(created), "expires": int(expires),
            "keyid": keyid, "nonce": nonce, "tag": tag,
        }  # fmt: skip
        return {label: InnerList(text[len(label) + 1 :], items, values)}
    found: dict[str, InnerList] = {}
    end = 0
    more: str | None = ","
    while more:
        member = _list_member.match(text, end)
        if member is None:
            raise InvalidSignatureError
        key, whole, items, parameters, more = member.groups()
        if key in found or len(found) == MAX_MEMBERS:
            raise InvalidSignatureError
        parse_items(items)
        found[key] = InnerList(whole, items, _parameters(parameters))
        end = member.end()
    return found


def parse_byte_sequences(field: bytes) -> dict[str, bytes]:
    """A dictionary of byte sequences, in its order; without blanks around it, and not empty."""
    if len(field) > MAX_FIELD_BYTES:
        raise InvalidSignatureError
    found: dict[str, bytes] = {}
    end = 0
    more: bytes | None = b","
    while more:
        member = _bytes_member.match(field, end)
        if member is None:
            raise InvalidSignatureError
        raw, value, more = member.groups()
        key = raw.decode("ascii")
        if key in found or len(found) == MAX_MEMBERS:
            raise InvalidSignatureError
        found[key] = canonical_base64(value)
        end = member.end()
    return found


@lru_cache(_REMEMBERED_LISTS)  # a client covers the same components in every request
def _plain(member: str) -> tuple[str, str] | None:
    """The label and the items of a member, up to its bracket, where no item has parameters."""
    found = _plain_list.fullmatch(member)
    if found is None:
        return None
    parse_items(found[2])
    return found[1], found[2]


@lru_cache(_REMEMBERED_LISTS)
def parse_items(text: str) -> tuple[Item, ...]:
    """The items of an :class:`InnerList`."""
    found = tuple(
        Item(_escaped.sub(r"\1", string), _parameters(parameters))
        for string, parameters in _item.findall(text)
    )
    if len(found) > MAX_ITEMS:
        raise InvalidSignatureError
    return found


def canonical_base64(text: bytes) -> bytes:
    """The bytes whose base64 (RFC 4648 section 4, padded) is exactly ``text``."""
    try:
        value = a2b_base64(text)
    except ValueError:
        raise InvalidSignatureError from None
    if b2a_base64(value, newline=False) != text:
        raise InvalidSignatureError
    return value


def _parameters(text: str) -> dict[str, BareItem]:
    """Those in a text that the member's pattern has matched."""
    parts = _parameter.findall(text)
    found: dict[str, BareItem] = {
        key: string or (int(integer) if integer else _value(other))
        for key, string, integer, other in parts
    }
    if len(found) != len(parts) or len(parts) > MAX_PARAMETERS:
        raise InvalidSignatureError
    if "\\" in text:  # which stands in strings alone
        return {key: _unescaped(value) for key, value in found.items()}
    return found


def _value(other: str) -> BareItem:
    if not other:
        return True
    if other[0] == ":":
        return canonical_base64(other[1:-1].encode("ascii"))
    if other == "?0":
        return False
    return "" if other == '""' else Token(other)


def _unescaped(value: BareItem) -> BareItem:
    return _escaped.sub(r"\1", value) if isinstance(value, str) else value


# Writing -------------------------------------------------------------------------------------


def serialise_inner_list(items: Iterable[Item], parameters: Mapping[str, BareItem]) -> str:
    """The text of an :class:`InnerList`."""
    return f"({' '.join(map(serialise_item, items))}){serialise_parameters(parameters)}"


def serialise_item(item: Item) -> str:
    """A string with its parameters: how RFC 9421 section 2 writes a component's identifier."""
    return _serialise_value(item.value) + serialise_parameters(item.parameters)


def serialise_byte_sequences(members: Mapping[str, bytes]) -> str:
    """A dictionary of byte sequences."""
    return ", ".join(
        f"{serialise_key(key)}={_serialise_value(value)}" for key, value in members.items()
    )


def serialise_key(key: str) -> str:
    """``key`` itself, if it can be one: of a dictionary or a parameter."""
    if not _key.fullmatch(key):
        raise InvalidInputError("a key begins with a-z or * and goes on with a-z0-9_-.*")
    return key


def serialise_parameters(parameters: Mapping[str, BareItem]) -> str:
    """Parameters, each with its semicolon."""
    return "".join(
        f";{serialise_key(key)}" + ("" if value is True else f"={_serialise_value(value)}")
        for key, value in parameters.items()
    )


def _serialise_value(value: BareItem) -> str:
    if isinstance(value, str):
        text = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if _string.fullmatch(text):
            return text
        raise InvalidInputError("a string of a structured field is printable ASCII")
    if isinstance(value, bytes):
        return f":{b2a_base64(value, newline=False).decode()}:"
    if value is False:  # True is its parameter's bare name
        return "?0"
    if isinstance(value, Token):
        if _token.fullmatch(value.text):
            return value.text
        raise InvalidInputError("that is no token of a structured field")
    if abs(value) > _MAX_INTEGER:
        raise InvalidInputError("an integer of a structured field has at most 15 digits")
    return str(value)
