"""How the values of Django's fields are spelled in bytes: those of equal values are equal."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, Final

from django import conf
from django.db import models
from django.db.backends.utils import format_number

from mycelium_fractal_net.integrations import codecs
from mycelium_fractal_net.integrations.codecs import Codec
from mycelium_fractal_net.security.errors import ConfigurationError, InvalidInputError

_MICROSECOND: Final = datetime.timedelta(microseconds=1)


def codec_of(field: Any) -> Codec:
    """What writes what ``field.get_prep_value`` gives. Raises :class:`ConfigurationError`."""
    for kind, codec in _CODECS:
        if isinstance(field, kind):
            return codec(field)
    raise ConfigurationError(f"a field of type {type(field).__name__} cannot be encrypted")


def _decimal(field: Any) -> Codec:
    """Rounded to the places of the field, as Django's databases have it."""
    codec = codecs.decimal_places(field.decimal_places, field.max_digits)

    def encode(value: Any) -> bytes:
        try:
            rounded = format_number(value, field.max_digits, field.decimal_places)
        except ArithmeticError:
            raise InvalidInputError("the value has more digits than its field") from None
        return codec.encode(field.to_python(rounded))

    return codec._replace(encode=encode)


def _datetime(_: Any) -> Codec:
    """Aware ones where ``USE_TZ`` has them so, in UTC; else as they are, and none that is aware."""

    def encode(value: Any) -> bytes:
        if not conf.settings.USE_TZ and getattr(value, "tzinfo", None) is not None:
            raise InvalidInputError("the value has a time zone, and USE_TZ is off")
        return codecs.DATETIME.encode(value)

    def decode(data: bytes) -> datetime.datetime:
        value: datetime.datetime = codecs.DATETIME.decode(data)
        if conf.settings.USE_TZ and value.tzinfo is None:
            return value.replace(tzinfo=datetime.UTC)
        return value

    return Codec("datetime", encode, decode)


def _duration_to(value: Any) -> bytes:
    if not isinstance(value, datetime.timedelta):
        raise codecs.refused("a duration")
    return codecs.INTEGER.encode(value // _MICROSECOND)


_DURATION: Final = Codec(
    "duration", _duration_to, lambda data: codecs.INTEGER.decode(data) * _MICROSECOND
)


def _always(codec: Codec) -> Callable[[Any], Codec]:
    return lambda _: codec


# The first that fits, so what is special stands before what it is derived from.
_CODECS: Final[tuple[tuple[Any, Callable[[Any], Codec]], ...]] = (
    (models.JSONField, lambda field: codecs.json_by(field.encoder, field.decoder)),
    (models.BinaryField, _always(codecs.BYTES)),
    (models.BooleanField, _always(codecs.BOOLEAN)),
    (models.IntegerField, _always(codecs.INTEGER)),
    (models.DecimalField, _decimal),
    (models.FloatField, _always(codecs.FLOAT)),
    (models.DateTimeField, _datetime),
    (models.DateField, _always(codecs.DATE)),
    (models.TimeField, _always(codecs.TIME)),
    (models.DurationField, _always(_DURATION)),
    (models.UUIDField, _always(codecs.UUID)),
    (
        (
            models.CharField,
            models.TextField,
            models.GenericIPAddressField,
            models.FilePathField,
        ),
        _always(codecs.TEXT),
    ),
)
