"""The two errors of whoever reads a request, and what a pydantic model finds wrong with one.

Neither repeats anything of the input: no value, and no name but those of the model itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

import pydantic

from mycelium_fractal_net.security.errors import InvalidInputError, Kind, PicklableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MOST_LISTED: Final = 20  # faults in one answer; whoever mends these learns of the others
_MOST_LOOKED_AT: Final = 200  # listing one takes pydantic about 20 us

# By pydantic's names of errors, which are the same in all of its versions 2. The numbers and
# patterns that are filled in are the model's.
_REASONS: Final = {
    "missing": "is required",
    "extra_forbidden": "holds a name that is not known; there are {known}",
    "model_type": "must be an object",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "string_unicode": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "int_parsing_size": "is too large",
    "literal_error": "must be {expected}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be greater than {gt}",
    "less_than": "must be less than {lt}",
}
_OTHER: Final = "does not fit the description"


class MalformedError(Exception):
    """What was sent is not JSON in UTF-8, or not a query string, or says something twice."""

    kind = Kind(400, "malformed", "The body or the query string is malformed")


class SchemaError(PicklableError):
    """What was sent does not fit the model.

    ``faults`` are pairs of a place and a short reason. A place is a JSON pointer (RFC 6901) into
    the body, or ``?name`` for a parameter of the query string; of an unknown member it is the
    object that has it.
    """

    kind = InvalidInputError.kind

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults: tuple[tuple[str, str], ...] = tuple(faults)
        super().__init__("; ".join(f"{place or 'the body'} {why}" for place, why in self.faults))


def refusal(
    model: type[pydantic.BaseModel],
    check: Callable[[], object],
    pointer: Callable[[tuple[int | str, ...]], str],
) -> MalformedError | SchemaError:
    """Why an input was refused, by what the pydantic validation ``check`` has to say of it.

    ``model`` is what it was to fit. ``pointer`` makes the text for a place. The input has been
    refused already, by a stricter reader, so that there is an error also where ``check`` has no
    objection.
    """
    try:
        check()
    except pydantic.ValidationError as error:
        if error.error_count() > _MOST_LOOKED_AT:
            return SchemaError([("", "has too many faults to list")])
        found = error.errors(include_url=False, include_input=False)
    else:
        return SchemaError([("", _OTHER)])
    if found[0]["type"] == "json_invalid":
        return MalformedError("the body is not JSON in UTF-8")
    faults = dict.fromkeys((pointer(_place(each)), _reason(each, model)) for each in found)
    return SchemaError(list(faults)[:_MOST_LISTED])


def _place(found: Any) -> tuple[int | str, ...]:
    place: tuple[int | str, ...] = found["loc"]
    # The last step to an unknown member is its name, which is the sender's.
    return place[:-1] if found["type"] == "extra_forbidden" else place


def _reason(found: Any, model: type[pydantic.BaseModel]) -> str:
    filled_in = found.get("ctx", {})
    if found["type"] == "extra_forbidden":
        filled_in = {"known": ", ".join(_members(model, _place(found))) or "none"}
    return _REASONS.get(found["type"], _OTHER).format_map(filled_in)


def _members(kind: Any, place: tuple[int | str, ...]) -> Iterable[str]:
    """The names of the members of the object that is at that place in a model."""
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        if not place:
            return kind.model_fields
        return _members(kind.model_fields[str(place[0])].annotation, place[1:])
    if get_origin(kind) is list:
        return _members(get_args(kind)[0], place[1:])
    # Of what may be one thing or another, or is annotated, it is that which has members.
    return next(filter(None, (_members(each, place) for each in get_args(kind))), ())
