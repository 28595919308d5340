"""What stands in a column of plaintext, as the bytes that an encrypted field of its kind seals.

A driver gives some kinds as what they are and some as text, SQLite nearly all as text or numbers;
other packages put their own spelling into a token. Each of these functions takes all of them, and
raises :class:`.InvalidInputError` for what is none of its kind, without the value.
"""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Callable
from typing import Any, Final

from mycelium_fractal_net.integrations import codecs
from mycelium_fractal_net.integrations.codecs import Codec
from mycelium_fractal_net.security.errors import MfnError

_TRUE: Final = frozenset({"true", "t", "1"})
_FALSE: Final = frozenset({"false", "f", "0"})


def _bytes(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def _boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    written = str(value).lower()
    if written not in _TRUE | _FALSE:
        raise codecs.refused("true or false")
    return written in _TRUE


def _decimal(value: Any) -> Any:
    return decimal.Decimal(str(value)) if isinstance(value, str | float) else value


def _uuid(value: Any) -> Any:
    if isinstance(value, bytes):
        return uuid.UUID(bytes=value)
    return uuid.UUID(value) if isinstance(value, str) else value


def _parsed(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda value: parse(value) if isinstance(value, str) else value


def _of_utc(value: Any) -> Any:
    found = _parsed(datetime.datetime.fromisoformat)(value)
    return found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found


def _spelling(codec: Codec, read: Callable[[Any], Any]) -> Callable[[Any], bytes]:
    def spelled(value: Any) -> bytes:
        try:
            return codec.encode(read(value))
        except MfnError:
            raise
        except Exception:
            raise codecs.refused(f"of the kind {codec.name}") from None

    return spelled


SPELLINGS: Final[dict[str, Callable[[Any], bytes]]] = {
    "text": _spelling(codecs.TEXT, lambda value: value),
    "bytes": _spelling(codecs.BYTES, _bytes),
    "integer": _spelling(codecs.INTEGER, _parsed(int)),
    "decimal": _spelling(codecs.DECIMAL, _decimal),
    "float": _spelling(codecs.FLOAT, _parsed(float)),
    "boolean": _spelling(codecs.BOOLEAN, _boolean),
    "date": _spelling(codecs.DATE, _parsed(datetime.date.fromisoformat)),
    "datetime": _spelling(codecs.DATETIME, _parsed(datetime.datetime.fromisoformat)),
    "datetime-utc": _spelling(codecs.DATETIME, _of_utc),
    "time": _spelling(codecs.TIME, _parsed(datetime.time.fromisoformat)),
    "uuid": _spelling(codecs.UUID, _uuid),
    "json": _spelling(codecs.JSON, _parsed(json.loads)),
}
"""By kind. Of ``datetime-utc`` one without a zone is of UTC, as Django's ``USE_TZ`` stores it."""
