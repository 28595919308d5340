"""How the values of a column type of SQLAlchemy are spelled as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import types

from mycelium_fractal_net.integrations import codecs
from mycelium_fractal_net.integrations.codecs import Codec
from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from mycelium_fractal_net.columns.source import Source

# The first that fits: what is a kind of another stands in front of it.
_PLAIN: Final[tuple[tuple[type[types.TypeEngine[Any]], Codec], ...]] = (
    (types.Boolean, codecs.BOOLEAN),
    (types.Integer, codecs.INTEGER),
    (types.DateTime, codecs.DATETIME),
    (types.Date, codecs.DATE),
    (types.Time, codecs.TIME),
    (types.Uuid, codecs.UUID),
    (types.JSON, codecs.JSON),
)


def codec_of(kind: types.TypeEngine[Any]) -> Codec:
    """The codec for what a column of that type takes. Raises :class:`ConfigurationError`.

    Lengths, digits and members are held here, since the database sees sealed bytes alone.
    """
    if isinstance(kind, types.Enum):
        return _of_enum(kind)
    if isinstance(kind, types.String):
        return codecs.bounded(codecs.TEXT, kind.length)
    if isinstance(kind, types._Binary):
        return codecs.bounded(codecs.BYTES, kind.length)
    if isinstance(kind, types.Numeric):
        if not kind.asdecimal:
            return codecs.FLOAT
        return codecs.decimal_places(kind.scale, kind.precision)
    for each, codec in _PLAIN:
        if isinstance(kind, each):
            return codec
    raise ConfigurationError(f"there is no encrypted column of type {type(kind).__name__}")


def _of_enum(kind: types.Enum) -> Codec:
    if kind.enum_class is not None:
        return codecs.enumeration(kind.enum_class)
    texts = frozenset(kind.enums)

    def encode(value: Any) -> bytes:
        written = codecs.TEXT.encode(value)
        if value not in texts:
            raise codecs.refused("one of those that the column takes")
        return written

    return codecs.TEXT._replace(encode=encode)


def check_kind(kind: types.TypeEngine[Any], source: Source) -> None:
    """Refuse values that ``source`` spells in another way than a field does.

    Raises :class:`ConfigurationError`: such a column is taken over by a new one.
    """
    if codec_of(kind).name not in source.kinds:
        raise ConfigurationError(
            f"{type(source).__name__} is taken over in place in columns of"
            f" {', '.join(sorted(source.kinds))}, and else by a new column"
        )
