"""Values of an application to bytes and back: one spelling for each value.

Equal values have to give equal bytes, since the tag of a blind index is made of them: what Python
holds equal and writes in several ways (``Decimal("1.0")`` and ``Decimal("1.00")``, one instant in
two time zones) is spelled in one. Each codec raises :class:`InvalidInputError` for a value that
is not of its kind, and never shows the value.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
import struct
import uuid
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NamedTuple

from mycelium_fractal_net.security.errors import InvalidInputError, MfnError

_MOST_DIGITS: Final = 1000  # before the point, where a column does not say
_DOUBLE: Final = struct.Struct(">d")  # IEEE 754 binary64


class Codec(NamedTuple):
    """How values of one kind are written. ``decode`` takes what ``encode`` made, and no more."""

    name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]

    def read(self, data: bytes) -> Any:
        """The value that ``data`` spells. Raises :class:`InvalidInputError`, without the value.

        What was sealed as a value of another kind opens, and is none of this one.
        """
        try:
            return self.decode(data)
        except MfnError:
            raise
        except Exception:
            raise InvalidInputError(f"what is stored is no {self.name}") from None


def refused(what: str) -> InvalidInputError:
    """The error for a value that is not ``what``, which it does not show."""
    return InvalidInputError(f"the value is not {what}")


def _text_to(value: Any) -> bytes:
    if not isinstance(value, str):
        raise refused("text")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise InvalidInputError("the value has a lone surrogate, which is no text") from None


def _bytes_to(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise refused("bytes")
    return bytes(value)


def _integer_to(value: Any) -> bytes:
    if not isinstance(value, int) or isinstance(value, bool):
        raise refused("a whole number")
    return b"%d" % value


def _decimal_to(value: Any) -> bytes:
    if isinstance(value, int) and not isinstance(value, bool):
        value = decimal.Decimal(value)
    if not isinstance(value, decimal.Decimal) or not value.is_finite():
        raise refused("a finite decimal number")
    sign, digits, exponent = value.as_tuple()
    written = "".join(map(str, digits)).lstrip("0")
    bare = written.rstrip("0")  # not normalize(), which rounds to the context's precision
    if not bare:
        return b"0"
    power = int(exponent) + len(written) - len(bare)
    return f"{'-' if sign else ''}{bare}E{power}".encode()


def _decimal_from(data: bytes) -> decimal.Decimal:
    value = decimal.Decimal(data.decode())
    sign, digits, exponent = value.as_tuple()
    if 0 < int(exponent) <= 64:  # as a reader writes it: 1200, and not 12E+2
        return decimal.Decimal((sign, (*digits, *[0] * int(exponent)), 0))
    return value


def _float_to(value: Any) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused("a number")
    try:
        value = float(value)
    except OverflowError:
        raise refused("a finite number") from None
    if not math.isfinite(value):
        raise refused("a finite number")
    return _DOUBLE.pack(value + 0.0)  # -0.0 equals 0.0


def _float_from(data: bytes) -> float:
    number: float = _DOUBLE.unpack(data)[0]
    return number


def _boolean_to(value: Any) -> bytes:
    if not isinstance(value, bool):
        raise refused("true or false")
    return b"\x01" if value else b"\x00"


def _boolean_from(data: bytes) -> bool:
    return (b"\x00", b"\x01").index(data) == 1


def _date_to(value: Any) -> bytes:
    if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
        raise refused("a date")
    return value.isoformat().encode()


def _datetime_to(value: Any) -> bytes:
    if not isinstance(value, datetime.datetime):
        raise refused("a date and time")
    if value.utcoffset() is not None:
        try:
            value = value.astimezone(datetime.UTC)
        except OverflowError:
            raise refused("a date and time that UTC has") from None
    else:
        value = value.replace(tzinfo=None)
    written: str = value.isoformat()
    return written.encode()


def _time_to(value: Any) -> bytes:
    if not isinstance(value, datetime.time) or value.tzinfo is not None:
        raise refused("a time of day without a zone")
    return value.isoformat().encode()


def _uuid_to(value: Any) -> bytes:
    if not isinstance(value, uuid.UUID):
        raise refused("a UUID")
    return value.bytes


def json_by(
    encoder: type[json.JSONEncoder] | None = None, decoder: type[json.JSONDecoder] | None = None
) -> Codec:
    """Objects as JSON, by an application's own encoder and decoder where it has them.

    Members stand in the order of their names, so that equal objects are equal bytes.
    """

    def encode(value: Any) -> bytes:
        try:
            text = json.dumps(
                value,
                cls=encoder,
                sort_keys=True,
                separators=(",", ":"),
                ensure_ascii=False,
                allow_nan=False,
            )
            return text.encode()
        except (TypeError, ValueError, RecursionError):  # whose texts show the value
            raise refused("what JSON has a form for") from None

    return Codec("json", encode, lambda data: json.loads(data, cls=decoder))


TEXT: Final = Codec("text", _text_to, bytes.decode)
BYTES: Final = Codec("bytes", _bytes_to, bytes)
INTEGER: Final = Codec("integer", _integer_to, int)
DECIMAL: Final = Codec("decimal", _decimal_to, _decimal_from)
FLOAT: Final = Codec("float", _float_to, _float_from)
BOOLEAN: Final = Codec("boolean", _boolean_to, _boolean_from)
DATE: Final = Codec("date", _date_to, lambda data: datetime.date.fromisoformat(data.decode()))
DATETIME: Final = Codec(
    "datetime", _datetime_to, lambda data: datetime.datetime.fromisoformat(data.decode())
)
"""With a zone: that instant, in UTC. Without: as it is."""
TIME: Final = Codec("time", _time_to, lambda data: datetime.time.fromisoformat(data.decode()))
UUID: Final = Codec("uuid", _uuid_to, lambda data: uuid.UUID(bytes=data))
JSON: Final = json_by()


def bounded(codec: Codec, most: int | None) -> Codec:
    """``codec`` for values of at most ``most`` characters or bytes; the database cannot tell."""
    if most is None:
        return codec

    def encode(value: Any) -> bytes:
        written = codec.encode(value)  # of anything else it says that it is none
        if len(value) > most:
            raise InvalidInputError(f"the value is longer than {most}")
        return written

    return codec._replace(encode=encode)


def decimal_places(places: int | None, digits: int | None = None) -> Codec:
    """Decimal numbers of exactly so many places, and of so many digits at most.

    A value with more places is refused, not rounded.
    """
    if places is None:
        return DECIMAL
    unit = decimal.Decimal(1).scaleb(-places)
    exact = decimal.Context(
        prec=_MOST_DIGITS + abs(places), Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[]
    )
    most = _MOST_DIGITS if digits is None else digits - places

    def fitted(value: decimal.Decimal) -> decimal.Decimal:
        if value and value.adjusted() >= most:
            raise InvalidInputError(f"the value has more than {most} digits before its point")
        found = value.quantize(unit, context=exact)
        if found != value:
            raise InvalidInputError(f"the value has more than {places} decimal places")
        return found

    def encode(value: Any) -> bytes:
        written = _decimal_to(value)
        fitted(decimal.Decimal(value))
        return written

    return Codec("decimal", encode, lambda data: fitted(_decimal_from(data)))


def enumeration(members: type[Enum]) -> Codec:
    """Members of an enumeration, by name. A member that was renamed does not open."""

    def encode(value: Any) -> bytes:
        if not isinstance(value, members):
            raise refused(f"a member of {members.__name__}")
        return str(value.name).encode()

    return Codec("enumeration", encode, lambda data: members[data.decode()])
