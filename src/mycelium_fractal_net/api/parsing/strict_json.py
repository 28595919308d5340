"""JSON that has one meaning: the one parser for the bodies of all routes.

RFC 8259 leaves open what an object with two members of one name says, and parsers differ in it:
a guard in front of the service and the service itself could read two different requests. So such
a body is refused, as are NaN and Infinity, lone surrogates, other encodings than UTF-8, a byte
order mark, unknown members, and a value of another type than the model's ("1" is no integer, and
neither is 1.0).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import msgspec
from pydantic import BaseModel

from mycelium_fractal_net.api.parsing.faults import MalformedError, SchemaError, refusal
from mycelium_fractal_net.api.parsing.model_structs import struct_of

if TYPE_CHECKING:
    from collections.abc import Callable

M = TypeVar("M", bound=BaseModel)

_NOT_JSON: Final = "the body is not JSON in UTF-8"
_TWICE: Final = "a member is there twice"
_MOST_COMMAS: Final = 20_000  # of a body whose faults are looked for: 20 ms; a batch has 10,000


def decoder(model: type[M]) -> Callable[[bytes], M]:
    """What reads a body that is one JSON object of that model.

    It returns an object with the *attributes* of the model, defaults filled in, that cannot be
    changed. It is no instance of the model, which would cost several times as much, and has none
    of the methods of one. It may be called from several threads at once, and it raises
    :class:`MalformedError` (no JSON, or a member twice) and :class:`SchemaError` (the JSON does
    not fit the model), and nothing else.

    :raises TypeError: the model has what is not known here, see
        :func:`~mycelium_fractal_net.api.parsing.model_structs.struct_of`.
    """
    struct = struct_of(model)
    decode, quotes = msgspec.json.Decoder(struct.type).decode, struct.quotes

    def read(body: bytes) -> M:
        refused: Exception | None = None
        try:
            value = decode(body)
        except msgspec.ValidationError:
            refused = _why(model, body)
        except (msgspec.DecodeError, ValueError, RecursionError):
            refused = MalformedError(_NOT_JSON)
        if refused is not None:
            raise refused  # out of the handler: the former error holds the body
        # Each member that is there has two quotation marks around its name, and two more where
        # it is a string. A body with no more of them than the members in `value` ask for has
        # no member twice, nor one that it does not show. (`count` takes six times as long.)
        if len(body) - len(body.replace(b'"', b"")) != quotes(value):
            _refuse_duplicates(body)
        return cast("M", value)

    return read


def _why(model: type[BaseModel], body: bytes) -> MalformedError | SchemaError:
    if body.count(b",") > _MOST_COMMAS:
        return SchemaError([("", "has too many values to look for the fault")])
    return refusal(model, lambda: model.model_validate_json(body, strict=True), _pointer)


def _pointer(place: tuple[int | str, ...]) -> str:
    """RFC 6901. The names are those of models: none has a character to be escaped."""
    return "".join(f"/{step}" for step in place)


def _refuse_duplicates(body: bytes) -> None:
    """Raise :class:`MalformedError` if a member is there twice, in JSON that is known as valid."""
    try:
        _slow(body.decode())
        return
    except (ValueError, RecursionError):
        pass
    raise MalformedError(_TWICE)


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError(_TWICE)
    return found


_slow: Final = json.JSONDecoder(object_pairs_hook=_object).decode
