"""From the pydantic models, which describe, to the msgspec structs, which read.

A struct has the members of its model, with the same types, bounds and defaults; it converts
nothing and knows no others. It also tells how many quotation marks the JSON of its objects has,
by which :mod:`~mycelium_fractal_net.api.parsing.strict_json` finds members that are there twice.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, compress, cycle
from operator import attrgetter, is_not
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel, Strict
from pydantic.fields import FieldInfo

Quotes = Callable[[Sequence[Any]], int]
"""The quotation marks inside of many values of one type, at least."""

_BOUNDS: Final = ("ge", "le", "gt", "lt", "min_length", "max_length", "pattern")
_ALWAYS: Final = object()  # in place of a default: no value is it
_NAME: Final = 2  # quotation marks around a name, and as many around a string


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a member takes: as msgspec knows it, and what that has of quotation marks."""

    type: Any
    around: int = 0
    inside: Quotes | None = None


@dataclass(frozen=True, slots=True)
class ModelStruct:
    """The struct of a model. ``scalars`` are its members that are no object and no array."""

    type: type[msgspec.Struct]
    quotes: Callable[[Any], int]
    quotes_of_many: Quotes
    scalars: dict[str, Any]


@functools.cache
def struct_of(model: type[BaseModel]) -> ModelStruct:
    """The struct of ``model``.

    :raises TypeError: the model has what a struct cannot say (validators of its own, aliases, a
        type or bound that is not known here), or takes unknown members.
    """
    _check(model)
    names: list[str] = []
    fields: list[Any] = []
    defaults: list[Any] = []
    kinds: list[_Kind] = []
    for name, info in model.model_fields.items():
        where = f"{model.__name__}.{name}"
        kind, nullable = _kind(info.annotation, info.metadata, where)
        taken = kind.type | None if nullable else kind.type
        if info.is_required():
            fields.append((name, taken))
            defaults.append(None if nullable else _ALWAYS)
        else:
            default = _default(info, where)
            fields.append((name, taken, default))
            defaults.append(default)
        names.append(name)
        kinds.append(kind)
    struct = msgspec.defstruct(
        model.__name__,
        fields,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,  # frozen, made of texts and of one another: no cycle can come about
        namespace={"__repr__": _name_only, "__rich_repr__": None},
    )
    quotes, quotes_of_many = _quotes_of(names, defaults, kinds)
    return ModelStruct(
        struct,
        quotes,
        quotes_of_many,
        {name: kind.type for name, kind in zip(names, kinds, strict=True) if not kind.inside},
    )


def _name_only(value: object) -> str:
    """A plaintext is never in a repr."""
    return f"<{type(value).__name__}>"


def _check(model: type[BaseModel]) -> None:
    own = model.__pydantic_decorators__
    if own.field_validators or own.model_validators or own.validators or own.root_validators:
        raise TypeError(f"{model.__name__} has validators, which a struct does not run")
    if model.model_config.get("extra") != "forbid":
        raise TypeError(f"{model.__name__} does not forbid members that it does not know")
    if any(info.validation_alias is not None for info in model.model_fields.values()):
        raise TypeError(f"{model.__name__} has a member of two names")


def _default(info: FieldInfo, where: str) -> Any:
    default = info.default
    if isinstance(default, str):
        # An object of its own, so that a member that is there with this value is told from one
        # that is absent. (Python may keep one object for a text of one character or none.)
        return "".join(list(default))
    if info.default_factory is None and (default is None or isinstance(default, bool | int)):
        return default
    raise TypeError(f"{where}: a default of that type is not known here")


def _kind(annotation: Any, metadata: Sequence[Any], where: str) -> tuple[_Kind, bool]:
    """The kind that an annotation stands for, and whether null is taken too."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0], [*metadata, *_flat(arguments[1:])], where)
    if origin in (Union, types.UnionType):
        others = [each for each in arguments if each is not types.NoneType]
        if len(others) != 1:
            raise TypeError(f"{where}: only a union with None is known here")
        return _kind(others[0], metadata, where)[0], True
    kind = _plain(annotation, origin, arguments, where)
    bounds = _bounds(metadata, where)
    if bounds:
        kind = _Kind(Annotated[kind.type, msgspec.Meta(**bounds)], kind.around, kind.inside)
    return kind, False


def _plain(annotation: Any, origin: Any, arguments: tuple[Any, ...], where: str) -> _Kind:
    if annotation in (str, datetime):
        return _Kind(annotation, _NAME)
    if annotation in (bool, int):
        return _Kind(annotation)
    if origin is Literal and all(isinstance(each, str) for each in arguments):
        return _Kind(annotation, _NAME)
    if origin is list:
        element, nullable = _kind(arguments[0], (), where)
        if not nullable:
            return _Kind(list[element.type], 0, _quotes_of_arrays(element))  # type: ignore[name-defined]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = struct_of(annotation)
        return _Kind(inner.type, 0, inner.quotes_of_many)
    raise TypeError(f"{where}: the type is not known here")


def _flat(metadata: Sequence[Any]) -> Iterator[Any]:
    for each in metadata:
        if isinstance(each, FieldInfo):
            yield from each.metadata
        else:
            yield each


def _bounds(metadata: Sequence[Any], where: str) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for each in metadata:
        found = {name: getattr(each, name) for name in _BOUNDS if hasattr(each, name)}
        if not found and not isinstance(each, Strict):
            raise TypeError(f"{where}: a bound is not known here")
        bounds.update(found)
    if "pattern" in bounds:
        bounds["pattern"] = _whole(bounds["pattern"], where)
    return bounds


def _whole(pattern: Any, where: str) -> str:
    r"""The pattern for Python, whose ``$`` also matches before a last line feed; ``\Z`` does not.

    :raises TypeError: it is not one that begins with ``^`` and ends with its only ``$``.
    """
    inner = pattern[1:-1] if isinstance(pattern, str) else "$"
    if "$" in inner or inner.endswith("\\") or pattern[:1] + pattern[-1:] != "^$":
        raise TypeError(f"{where}: the pattern must have one ^, at its beginning, and one $")
    return f"^{inner}\\Z"


def _quotes_of(
    names: list[str], defaults: list[Any], kinds: list[_Kind]
) -> tuple[Callable[[Any], int], Quotes]:
    """Count those of one object, and those of many at once, since a batch has a thousand.

    What *is* the default is taken to be absent; if it is there, then the count is too low, and
    never too high.
    """
    absent = tuple(defaults)
    weights = tuple(_NAME + kind.around for kind in kinds)
    inner = [
        (attrgetter(name), default, kind.inside)
        for name, default, kind in zip(names, defaults, kinds, strict=True)
        if kind.inside is not None
    ]
    members = msgspec.structs.astuple

    def of_one(value: Any) -> int:
        count = sum(compress(weights, map(is_not, members(value), absent)))
        for get, default, inside in inner:
            if (found := get(value)) is not default:
                count += inside((found,))
        return count

    def of_many(values: Sequence[Any]) -> int:
        there = map(is_not, chain.from_iterable(map(members, values)), cycle(absent))
        count = sum(compress(cycle(weights), there))
        for get, default, inside in inner:
            count += inside([found for found in map(get, values) if found is not default])
        return count

    return of_one, of_many


def _quotes_of_arrays(element: _Kind) -> Quotes:
    around, inside = element.around, element.inside

    def quotes(arrays: Sequence[Any]) -> int:
        count = around * sum(map(len, arrays))
        if inside is not None:
            count += inside([*chain.from_iterable(arrays)])
        return count

    return quotes
