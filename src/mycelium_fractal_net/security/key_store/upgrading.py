"""Which schema a database has, and how a store is made or brought to the newest one.

A store may stand in a database with tables of others: all of its own are named ``mfn_…``, the
table of Alembic too. Stores of before had names of everybody, ``keys`` or ``alembic_version``; an
upgrade renames them first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import inspect, text

from mycelium_fractal_net.security.errors import ConfigurationError, StoreVersionError
from mycelium_fractal_net.security.key_store.schema import HEAD, PREFIX, VERSION_TABLE, metadata

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_FORMER_VERSION_TABLE: Final = "alembic_version"
# The tables that each schema of before added, without the prefix that they have now.
_FORMER_TABLES: Final = {
    "0001": (
        "store_meta", "authority_keys", "keys", "key_versions", "usage", "raw_usage", "credentials",
    ),
    "0002": ("audit_keys", "audit_chains"),
    "0003": ("signers", "request_nonces"),
    "0004": ("rotation_failures", "scheduler_clock", "backups", "backed_up_versions"),
    "0005": (),
}  # fmt: skip
_FORMER_CONSTRAINTS: Final = {
    "uq_key_versions_key_id": "uq_mfn_key_versions_key_id",
    "fk_key_versions_key_id_keys": "fk_mfn_key_versions_key_id_mfn_keys",
    "uq_signers_public_key": "uq_mfn_signers_public_key",
    "alembic_version_pkc": f"{VERSION_TABLE}_pkc",
}


def schema_version(connection: Connection) -> str | None:
    """The migration that the store stands at; None where the database has no store.

    Raises :class:`StoreVersionError` where that is not to be told.
    """
    names = set(inspect(connection).get_table_names())
    if VERSION_TABLE in names:
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all()  # noqa: S608
        if len(found) != 1:
            raise StoreVersionError(
                f"the key store does not say which schema it has ({VERSION_TABLE}):"
                " restore a backup"
            )
        return str(found[0])
    return _former_version(connection, names)


def check_version(found: str | None, advice: str) -> None:
    """Raise :class:`StoreVersionError`, with what to do, unless that is the newest schema."""
    if found is None:
        raise StoreVersionError(f"there is no key store in this database; {advice}")
    check_not_newer(found)
    if found != HEAD:
        raise StoreVersionError(
            f"the key store has schema {found} of an older release, this release works with {HEAD};"
            " upgrade it: mfn init"
        )


def check_not_newer(found: str) -> None:
    """Raise :class:`StoreVersionError` for a schema that this release cannot know."""
    if not found.isdecimal() or found > HEAD:
        raise StoreVersionError(
            f"the key store has schema {found[:16]!r} of a newer release, this release works with"
            f" {HEAD}; nothing was changed: use the release that upgraded it, or a later one"
        )


def check_alone(connection: Connection) -> None:
    """Raise :class:`ConfigurationError` where there are tables that are not a key store's."""
    others = sorted(
        name for name in inspect(connection).get_table_names() if not name.startswith(PREFIX)
    )
    if others:
        raise ConfigurationError(
            f"the database holds tables of others ({_some(others)}), and nothing was written to"
            " it; a key store beside them, in tables that are all named mfn_…, is made with"
            " --shared-database"
        )


def upgrade(connection: Connection, found: str | None) -> None:
    """Make the tables, or bring those of schema ``found`` to the newest, in its transaction."""
    from alembic import command
    from alembic.config import Config

    names = set(inspect(connection).get_table_names())
    if found is not None and VERSION_TABLE not in names:
        _rename(connection, found)
    configuration = Config()
    configuration.set_main_option(
        "script_location", "mycelium_fractal_net.security.key_store:migrations"
    )
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name[:64]) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


# Stores of before ---------------------------------------------------------------------------


def _former_tables(version: str) -> list[str]:
    return [name for each, names in _FORMER_TABLES.items() if each <= version for name in names]


def _former_version(connection: Connection, names: set[str]) -> str | None:
    """The schema of a store whose tables have no prefix; of others' tables None."""
    if _FORMER_VERSION_TABLE not in names or not names.issuperset(_former_tables("0001")):
        return None
    columns = {each["name"] for each in inspect(connection).get_columns(_FORMER_VERSION_TABLE)}
    if columns != {"version_num"}:
        return None
    found: list[Any] = list(
        connection.execute(text(f"SELECT version_num FROM {_FORMER_VERSION_TABLE}")).scalars()  # noqa: S608
    )
    if len(found) != 1 or found[0] not in _FORMER_TABLES:
        return None
    return str(found[0]) if names.issuperset(_former_tables(found[0])) else None


def _rename(connection: Connection, version: str) -> None:
    """Give the tables of that schema, and what belongs to them, the names of now."""
    quote = connection.dialect.identifier_preparer.quote
    tables = {name: PREFIX + name for name in _former_tables(version)}
    for old, new in {**tables, _FORMER_VERSION_TABLE: VERSION_TABLE}.items():
        connection.exec_driver_sql(f"ALTER TABLE {quote(old)} RENAME TO {quote(new)}")
        if connection.dialect.name == "postgresql":
            found = connection.execute(
                text(
                    "SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(:name)"
                    " AND contype IN ('p', 'u', 'f')"
                ),
                {"name": quote(new)},
            )
            for name in found.scalars().all():
                now = _FORMER_CONSTRAINTS.get(name, name.replace(f"pk_{old}", f"pk_{new}"))
                if now != name:
                    connection.exec_driver_sql(
                        f"ALTER TABLE {quote(new)} RENAME CONSTRAINT {quote(name)} TO {quote(now)}"
                    )
    there = _index_names(connection)
    for index in (each for table in metadata.tables.values() for each in table.indexes):
        old = str(index.name).replace(f"_{PREFIX}", "_", 1)
        if old not in there:
            continue
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"ALTER INDEX {quote(old)} RENAME TO {index.name}")
        else:
            connection.exec_driver_sql(f"DROP INDEX {quote(old)}")
            index.create(connection)


def _index_names(connection: Connection) -> set[str]:
    found = {
        "postgresql": "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()",
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index'",
    }[connection.dialect.name]
    return set(connection.execute(text(found)).scalars())
