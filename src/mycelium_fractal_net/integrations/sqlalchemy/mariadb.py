"""What encrypted columns are on MariaDB and MySQL: a prefix, a range of it, and strictness.

There is no index on an expression, but one on the first bytes of a column, unique where that is
said. The optimiser takes it for a range of the column, not for ``substr()``. Behind a tag stands
a message, whose first byte is no ``0xFF``: so what has a tag lies between it and it with that byte.

A session without strict mode cuts a value that does not fit, and stores what never opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import BindParameter, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeEngine

from mycelium_fractal_net.integrations.sqlalchemy.matching import TagMatch
from mycelium_fractal_net.integrations.sqlalchemy.stored_tag import StoredTag, TagAmong, inside
from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy.engine import Connection, Dialect
    from sqlalchemy.sql.compiler import SQLCompiler

DIALECTS: Final = ("mysql", "mariadb")
MOST_BYTES: Final = 0xFFFF_FFFF  # of LONGBLOB and LONGTEXT; without a length it is 64 KiB
_STRICT: Final = ("STRICT_TRANS_TABLES", "STRICT_ALL_TABLES")
_INFO: Final = "mfn_strict"
_MOST_LISTED: Final = 500
_Select = TypeVar("_Select", bound=Select[Any])


def column_type(*, as_text: bool) -> TypeEngine[Any]:
    """The type that cuts nothing and refuses nothing: how long a value is its own type says."""
    from sqlalchemy.dialects.mysql import LONGBLOB, LONGTEXT

    return LONGTEXT() if as_text else LONGBLOB()


def refuse_lax(connection: Connection) -> None:
    """Raises :class:`ConfigurationError` where values that are too long would be cut.

    Asked once for each connection to the server, before the first value is stored.
    """
    if connection.info.get(_INFO):
        return
    mode = str(connection.exec_driver_sql("SELECT @@SESSION.sql_mode").scalar_one())
    if not any(each in mode.split(",") for each in _STRICT):
        raise ConfigurationError(
            "sql_mode has no STRICT_TRANS_TABLES: MariaDB would cut an encrypted value that is too"
            " long for its column, and store what never opens"
        )
    connection.info[_INFO] = True


def ignores(statement: Any) -> bool:
    """Whether it is ``INSERT IGNORE`` or ``UPDATE IGNORE``, which is without strict mode."""
    prefixes = getattr(statement, "_prefixes", ())
    return any("IGNORE" in str(each).upper().split() for each, _ in prefixes)


def as_it_is_now(look: _Select) -> _Select:
    """A look that sees what others have committed since this transaction's first read.

    Under REPEATABLE READ, the default, a plain one sees the database as it was then.
    """
    return look.with_for_update(read=True)


class _Ranges(TypeEngine[Any]):
    """A list of tags, which stands in the statement as the ranges of a column.

    Tags are no secret: they are stored. Lists have as many as an application asks for, and a
    statement is compiled once for all of them.
    """

    def __init__(self, written: Callable[[Iterable[bytes]], str]) -> None:
        super().__init__()
        self.written = written

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:  # noqa: ARG002
        return self.written


def _listed(column: str, tag_bytes: int, tags: list[str], *, wanted: bool) -> str:
    """Of these tags or of none of them, in SQL.

    A long list is read by its ranges where it has few of the rows. Where it has many MariaDB reads
    them all, and would compare each with every range: so the tag is looked for first, in lists
    that are short enough (``in_predicate_conversion_threshold``) not to be made subqueries.
    """
    if not tags:
        return "(1 = 0)" if wanted else "(1 = 1)"
    tag = f"substr({column}, 1, {tag_bytes:d})"
    if not wanted:
        return f"({tag} NOT IN ({', '.join(tags)}))"
    parts = [tags[start : start + _MOST_LISTED] for start in range(0, len(tags), _MOST_LISTED)]
    found = (f"({tag} IN ({', '.join(some)}) AND {_in_ranges(column, some)})" for some in parts)
    return f"({' OR '.join(found)})"


def _in_ranges(column: str, tags: list[str], *, wanted: bool = True) -> str:
    word, joined = ("BETWEEN", " OR ") if wanted else ("NOT BETWEEN", " AND ")
    ranges = joined.join(f"{column} {word} {each} AND CONCAT({each}, 0xFF)" for each in tags)
    return f"({ranges})"


@compiles(StoredTag, *DIALECTS)
def _tag(element: StoredTag, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **inside(options))
    if options.get("include_table") is False:  # as CREATE INDEX has it
        return f"{column}({element.tag_bytes:d})"
    return f"substr({column}, 1, {element.tag_bytes:d})"


@compiles(TagAmong, *DIALECTS)
def _among(element: TagAmong, compiler: SQLCompiler, **options: Any) -> str:
    options = inside(options)
    column = compiler.process(element.column, **options)

    def written(tags: Iterable[bytes]) -> str:
        hexadecimal = [f"0x{each.hex()}" for each in tags]
        return _listed(column, element.tag_bytes, hexadecimal, wanted=element.wanted)

    # Under its name, by which SQLAlchemy gives it the value of each execution.
    given = BindParameter.__new__(BindParameter)
    given.__dict__ = {
        **element.given.__dict__,
        "type": _Ranges(written),
        "expanding": False,
        "literal_execute": True,
    }
    return compiler.process(given, **options)


@compiles(TagMatch, *DIALECTS)
def _match(element: TagMatch, compiler: SQLCompiler, **options: Any) -> str:
    options = inside(options)
    places = element.places_in(compiler)
    if not places or element.listed:
        return compiler.process(element.among(*places), **options)
    column = compiler.process(element.column, **options)
    given = [compiler.process(each, **options) for each in places]
    return _in_ranges(column, given, wanted=element.wanted)
