"""The schema of a store as it stands in its database, compared with what this release makes.

Whoever writes the store gains no authority by a row. By a trigger he could: one that sets the
generation back undoes a revocation, one that deletes nonces lets a request be sent again. So
triggers, rules, views and row policies on the tables of a store, columns and indexes that are not
of it, and tables that are something else are refused by name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import UniqueConstraint, text

from mycelium_fractal_net.security.errors import StoreIntegrityError
from mycelium_fractal_net.security.key_store.schema import VERSION_TABLE, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Column, Table
    from sqlalchemy.engine import Connection, Dialect

_SHOWN: Final = 5  # objects, in one error
_TABLES: Final = (*metadata.tables, VERSION_TABLE)
_NAMED: Final = re.compile(rf"\b({'|'.join(_TABLES)})\b", re.IGNORECASE)
# Of SQLite's own words for a table none of ours has: they change what an INSERT does.
_FOREIGN_WORDS: Final = re.compile(
    r"\b(ON\s+CONFLICT|CHECK|COLLATE|GENERATED|VIRTUAL|STORED)\b", re.IGNORECASE
)
_CONSTANT: Final = re.compile(r"('[^']*'|-?\d+|true|false)(::[a-z ]+)?", re.IGNORECASE)


class _Object(NamedTuple):
    """What a database has: its kind, the table that it belongs to, its name, and how it is."""

    kind: str
    table: str
    name: str
    detail: str


def check_schema(connection: Connection) -> None:
    """Raise :class:`StoreIntegrityError`, with their names, for objects that are not the store's.

    It costs one query, whatever is in the store.
    """
    wrong = sorted(set(_wrong(connection)))
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise StoreIntegrityError(
            f"the tables of the key store are not as they were made: {', '.join(wrong[:_SHOWN])}"
            f"{more}; whoever can do that can undo a revocation, so nothing is read from them:"
            " find out who it was, and drop what is named, or restore a backup where it is missing"
        )


def _wrong(connection: Connection) -> Iterator[str]:
    sqlite = connection.dialect.name == "sqlite"
    rows = connection.execute(
        text(_SQLITE if sqlite else _POSTGRESQL), {} if sqlite else {"names": list(_TABLES)}
    )
    found = [_Object(*(str(each or "") for each in row)) for row in rows]
    if sqlite:
        found = list(_of_sqlite(found))
    there = {each.table for each in found if each.kind == "table"}
    yield from (f"table {missing} is missing" for missing in set(_TABLES) - there)
    for each in found:
        if each.kind == "table" and each.detail:
            yield f"{each.table} is {each.detail}"
            there.discard(each.table)  # its parts need not be named
    expected = {
        (kind, name, part): detail
        for name, table in metadata.tables.items()
        for kind, part, detail in _parts(table, connection.dialect)
    }
    for each in found:
        if each.kind == "table" or (each.table in _TABLES and each.table not in there):
            continue
        what = f"{each.kind} {each.name[:64]!r} on {each.table[:64]}"
        if each.table == VERSION_TABLE and each.name == "version_num":
            continue
        if (wanted := expected.pop((each.kind, each.table, each.name), None)) is None:
            yield what
        elif wanted != each.detail and not (
            wanted.endswith("default") and _has_constant(wanted, each.detail)
        ):
            yield f"{what} is {each.detail[:64]}"
    for kind, table, name in expected:
        if kind != "index" and table in there:
            yield f"{kind} {name!r} of {table} is missing"


def _has_constant(wanted: str, detail: str) -> bool:
    kind, _, value = detail.partition(" default ")
    return f"{kind} default" == wanted and _CONSTANT.fullmatch(value) is not None


def _parts(table: Table, dialect: Dialect) -> Iterator[tuple[str, str, str]]:
    """The parts of a table as the catalogues of both databases are asked for them."""
    for column in table.columns:
        yield "column", column.name, _described(column, dialect)
    for index in table.indexes:
        what = ",".join(str(getattr(each, "name", each)) for each in index.expressions)
        yield "index", str(index.name), "" if dialect.name == "sqlite" else what
    unique = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
    for constraint in (table.primary_key, *unique):
        columns = ",".join(column.name for column in constraint.columns)
        yield "unique", columns, ""
    for key in table.foreign_keys:
        yield "foreign key", f"{key.parent.name} to {key.target_fullname}", ""


def _described(column: Column[object], dialect: Dialect) -> str:
    kind = column.type.compile(dialect).lower()
    kind = re.sub(r"^varchar", "character varying", kind) if dialect.name != "sqlite" else kind
    null = "" if column.nullable else " not null"
    return f"{kind}{null}{' default' if column.server_default is not None else ''}"


# SQLite -----------------------------------------------------------------------------------

_SQLITE: Final = """
WITH ours AS (
    SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'mfn@_%' ESCAPE '@'
)
SELECT type, tbl_name, name, sql FROM sqlite_master
UNION ALL
SELECT 'column', ours.name, c.name, lower(c.type) || iif(c."notnull", ' not null', '')
       || iif(c.dflt_value IS NULL, '', ' default ' || c.dflt_value)
       || iif(c.hidden, ' hidden', '')
FROM ours, pragma_table_xinfo(ours.name) c
UNION ALL
SELECT 'unique', ours.name,
       (SELECT group_concat(k.name)
        FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno) k),
       iif(i.partial, 'partial', '')
FROM ours, pragma_index_list(ours.name) i WHERE i."unique"
UNION ALL
SELECT 'unique', ours.name, c.name, ''
FROM ours, pragma_table_xinfo(ours.name) c
WHERE c.pk = 1 AND upper(c.type) = 'INTEGER'
      AND NOT EXISTS (SELECT 1 FROM pragma_index_list(ours.name) i WHERE i.origin = 'pk')
UNION ALL
SELECT 'foreign key', ours.name, f."from" || ' to ' || f."table" || '.' || f."to",
       iif(f.on_update = 'NO ACTION' AND f.on_delete = 'NO ACTION', '', 'cascading')
FROM ours, pragma_foreign_key_list(ours.name) f
"""


def _of_sqlite(found: list[_Object]) -> Iterator[_Object]:
    """Of all objects in the file those that have to do with the store's tables."""
    for each in found:
        ours = each.table.lower() in _TABLES
        if each.kind in ("trigger", "view"):
            if ours or _NAMED.search(each.detail):
                yield each._replace(detail="")
        elif not ours:
            continue
        elif each.kind == "table":
            word = _FOREIGN_WORDS.search(each.detail)
            yield each._replace(detail=f"made with {word[0].upper()}" if word else "")
        elif each.kind == "index":
            if not each.name.startswith("sqlite_autoindex_"):
                yield each._replace(detail="")
        elif each.table != VERSION_TABLE:
            yield each


# PostgreSQL -------------------------------------------------------------------------------

_POSTGRESQL: Final = """
WITH ours AS (
    SELECT c.* FROM unnest(CAST(:names AS text[])) AS t(name)
    JOIN pg_class c ON c.oid = to_regclass(quote_ident(t.name))
)
SELECT 'table', relname, '', CASE
    WHEN relkind <> 'r' THEN 'no plain table' WHEN relpersistence <> 'p' THEN 'not durable'
    WHEN relrowsecurity THEN 'under row security' ELSE '' END FROM ours
UNION ALL
SELECT 'column', relname, attname, format_type(atttypid, atttypmod)
       || CASE WHEN attnotnull THEN ' not null' ELSE '' END
       || COALESCE(' default ' || pg_get_expr(adbin, adrelid), '')
       || CASE WHEN attgenerated <> '' THEN ' generated' ELSE '' END
FROM ours JOIN pg_attribute a ON a.attrelid = ours.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = attrelid AND d.adnum = attnum
UNION ALL
SELECT 'index', ours.relname, i.relname,
       (SELECT lower(string_agg(pg_get_indexdef(x.indexrelid, n, true), ','))
        FROM generate_series(1, x.indnatts) AS n)
       || CASE WHEN indisunique THEN ' unique' ELSE '' END
       || CASE WHEN indpred IS NULL THEN '' ELSE ' partial' END
FROM ours JOIN pg_index x ON x.indrelid = ours.oid JOIN pg_class i ON i.oid = x.indexrelid
WHERE NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = x.indexrelid
                  AND k.conrelid = x.indrelid)
UNION ALL
SELECT CASE contype WHEN 'p' THEN 'unique' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key'
       ELSE 'constraint' END, relname,
       CASE WHEN contype IN ('p', 'u') THEN cols.names
            WHEN contype = 'f'
            THEN cols.names || ' to ' || confrelid::regclass || '.' || fcols.names
            ELSE conname END,
       CASE WHEN contype = 'f' AND (confupdtype <> 'a' OR confdeltype <> 'a') THEN 'cascading'
            WHEN condeferrable THEN 'deferrable' ELSE '' END
FROM ours JOIN pg_constraint k ON k.conrelid = ours.oid AND contype <> 'n'
LEFT JOIN LATERAL (
    SELECT string_agg(attname, ',' ORDER BY place) AS names
    FROM unnest(k.conkey) WITH ORDINALITY AS u(number, place)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number) cols ON true
LEFT JOIN LATERAL (
    SELECT string_agg(attname, ',' ORDER BY place) AS names
    FROM unnest(k.confkey) WITH ORDINALITY AS u(number, place)
    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number) fcols ON true
UNION ALL
SELECT 'trigger', relname, tgname, '' FROM ours JOIN pg_trigger ON tgrelid = ours.oid
WHERE NOT tgisinternal
UNION ALL
SELECT 'rule', relname, rulename, '' FROM ours JOIN pg_rewrite ON ev_class = ours.oid
WHERE relkind = 'r'
UNION ALL
SELECT 'row policy', relname, polname, '' FROM ours JOIN pg_policy ON polrelid = ours.oid
UNION ALL
SELECT 'view', ours.relname, v.relname, '' FROM ours
JOIN pg_depend d ON d.refobjid = ours.oid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class AND v.oid <> ours.oid
UNION ALL
SELECT 'table', ours.relname, '', 'inherited from, or by, ' || o.relname FROM ours
JOIN pg_inherits ON inhparent = ours.oid OR inhrelid = ours.oid
JOIN pg_class o ON o.oid = CASE WHEN inhparent = ours.oid THEN inhrelid ELSE inhparent END
"""
