"""A configuration file, read strictly: JSON in UTF-8, no member twice, no NaN.

Errors say where in the document, by the dotted path of the setting, and never show a value.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from mycelium_fractal_net.security.errors import ConfigurationError

SHIPPED: Final = ("dev", "staging", "prod")

MAX_FILE_BYTES: Final = 1 << 20
MAX_FAULTS: Final = 20  # are told at once

UNREADABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, which would break the one line of an error and mean nothing in a path, and
halves of surrogate pairs: no text (RFC 8259 section 8.2), or bytes that were not UTF-8."""

_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}")


class _Wrong:
    """Marks a value of a document that is not allowed, with the reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def shown(name: str) -> str:
    """A name of a setting or variable, made safe to print."""
    return name if _NAME.fullmatch(name) else ascii(name[:64])


def read_document(named: str | Path, origin: str) -> dict[str, Any]:
    """The JSON object in that file, which is a path or one of :data:`SHIPPED`.

    ``origin`` is who named it. Raises :class:`ConfigurationError`.
    """
    where = f"the configuration file ({origin})"
    content = _content(named, where)
    faults: list[str] = []
    document = None
    try:
        text = content.decode("utf-8-sig")  # RFC 8259 section 8.1 lets us pass over the mark
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_nan)
        faults.extend(islice(_faults(document, ""), MAX_FAULTS))
        reason = "is not a JSON object"
    except json.JSONDecodeError as error:
        reason = f"is not JSON: line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError:
        reason = "is not JSON in UTF-8"
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            reason = "is UTF-16; save it as UTF-8"
    except (ValueError, RecursionError):
        document, reason = None, "holds a number or a nesting without end"
    # Out here there is no exception at hand whose attributes hold the file's content.
    if not isinstance(document, dict):
        raise ConfigurationError(f"{where} {reason}")
    if faults:
        raise ConfigurationError("; ".join(faults))
    return document


def _content(named: str | Path, where: str) -> bytes:
    try:
        if isinstance(named, str) and named in SHIPPED:
            return _shipped(named).read_bytes()
        with Path(named).expanduser().open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: ~nobody; ValueError: NUL
        reason = getattr(error, "strerror", None) or "its name is not one of a file"
    else:
        if len(content) <= MAX_FILE_BYTES:
            return content
        reason = f"it is larger than {MAX_FILE_BYTES} bytes"
    raise ConfigurationError(
        f"{where} cannot be read: {reason}; it is a path, or one of {', '.join(SHIPPED)}"
    )


def _shipped(name: str) -> Path:
    package = Path(__file__).parents[1]
    in_a_wheel = package / "configs" / f"{name}.json"
    return in_a_wheel if in_a_wheel.is_file() else package.parents[1] / "configs" / f"{name}.json"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = _Wrong("stands there twice") if name in found else value
    return found


def _no_nan(_: str) -> _Wrong:
    return _Wrong("is NaN or Infinity, which is not JSON")


def _faults(value: object, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            inner = f"{path}.{shown(name)}".lstrip(".")
            if _NAME.fullmatch(name):
                yield from _faults(member, inner)
            else:
                yield f"{inner}: is not a setting"
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _faults(element, f"{path}[{index}]")
    elif isinstance(value, _Wrong):
        yield f"{path}: {value.reason}"
    elif isinstance(value, str) and UNREADABLE.search(value):
        yield f"{path}: holds a control character, or is not Unicode"
