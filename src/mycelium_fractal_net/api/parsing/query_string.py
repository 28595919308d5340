"""Query strings, read as strictly as bodies: each parameter known, once, and of its type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args
from urllib.parse import unquote_to_bytes

import msgspec
from pydantic import BaseModel

from mycelium_fractal_net.api.parsing.faults import MalformedError, refusal
from mycelium_fractal_net.api.parsing.model_structs import struct_of

if TYPE_CHECKING:
    from collections.abc import Callable

M = TypeVar("M", bound=BaseModel)

# RFC 3986 section 2: ASCII without space and quotation marks, no fragment, each % before two
# digits; section 7.3: never %00.
_ENCODED: Final = re.compile(rb"(?:[!$&-~]|%(?!00)[0-9A-Fa-f]{2})*")
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}")
_TRUTH: Final = {"true": True, "false": False}


def query_decoder(model: type[M]) -> Callable[[bytes], M]:
    """What reads a query string, without its ``?``, into the attributes of that model.

    ``+`` is a space, as in forms. An integer is written in decimal digits, a truth value is
    ``true`` or ``false``; there are no lists. Otherwise it is as
    :func:`~mycelium_fractal_net.api.parsing.strict_json.decoder`.

    :raises TypeError: the model has a member that is an array or an object.
    """
    struct = struct_of(model)
    if len(struct.scalars) != len(model.model_fields):
        raise TypeError(f"{model.__name__} has a member that no query string can hold")
    readers = {name: _reader(kind) for name, kind in struct.scalars.items()}

    def read(query: bytes) -> M:
        values: dict[str, Any] = {}
        for pair in query.split(b"&") if query else ():
            name, value = _pair(pair)
            if name in values:
                raise MalformedError("a query parameter is there twice")
            reader = readers.get(name)
            values[name] = value if reader is None else reader(value)
        try:
            return cast("M", msgspec.convert(values, struct.type))
        except msgspec.ValidationError:
            refused = refusal(model, lambda: model.model_validate(values, strict=True), _pointer)
        raise refused

    return read


def _pair(pair: bytes) -> tuple[str, str]:
    name, equals, value = pair.partition(b"=")
    try:
        if equals and name and _ENCODED.fullmatch(pair):
            return _text(name), _text(value)
    except UnicodeDecodeError:
        pass
    raise MalformedError("the query string is not made of name=value in percent-encoded UTF-8")


def _text(encoded: bytes) -> str:
    return unquote_to_bytes(encoded.replace(b"+", b" ")).decode()


def _reader(kind: Any) -> Callable[[str], Any] | None:
    """From the text of a parameter to what JSON would have; a text that is no such stays one."""
    plain = get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    if plain is int:
        return lambda text: int(text) if _INTEGER.fullmatch(text) else text
    if plain is bool:
        return lambda text: _TRUTH.get(text, text)
    return None


def _pointer(place: tuple[int | str, ...]) -> str:
    return "?" + "".join(map(str, place))
