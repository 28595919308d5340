"""What an encrypted column cannot answer is refused, and never answered wrongly."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    case,
    cast,
    desc,
    distinct,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    type_coerce,
    union,
    union_all,
    update,
)
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session, joinedload, selectinload

from mycelium_fractal_net.integrations.sqlalchemy import Encrypted, RefusedQueryError, tag_of
from mycelium_fractal_net.security.errors import ConfigurationError, InvalidInputError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.integrations.customers import TABLE, Customer, Order

C = Customer
BUILT: dict[str, Callable[[], Any]] = {
    "less": lambda: C.email < "a",
    "like": lambda: C.email.like("a%"),
    "ilike": lambda: C.email.ilike("a%"),
    "startswith": lambda: C.email.startswith("a"),
    "contains": lambda: C.email.contains("a"),
    "between": lambda: C.email.between("a", "b"),
    "concatenated": lambda: C.email + "a",
    "plus": lambda: C.points + 1,
    "minus": lambda: -C.points,
    "matching": lambda: C.email.regexp_match("a"),
    "member": lambda: C.notes["likes"],
    "operator": lambda: C.email.op("||")("a"),
    "collated": lambda: C.email.collate("C"),
    "descending": lambda: C.email.desc(),
    "ascending": lambda: C.email.asc(),
    "distinct": lambda: C.email.distinct(),
    "any": lambda: C.email.any_(),
    "bound": lambda: C.email == bindparam("email"),
    "column": lambda: C.email == C.name,
    "plain column": lambda: C.email == C.shown,
    "query": lambda: C.email.in_(select(C.name)),
    "bound list": lambda: C.email.in_(bindparam("emails", expanding=True)),
    "text for a list": lambda: C.email.in_("abc"),
    "function": lambda: C.email == func.lower("A"),
    "no index": lambda: C.photo == b"x",
    "short tags": lambda: C.town.in_(["x"]),
    "none in a list": lambda: C.name.in_(["x", None]),
    "is true": lambda: C.name.is_(True),
    "distinct from": lambda: C.name.is_distinct_from("x"),
}
EXECUTED: dict[str, Callable[[], Any]] = {
    "compared by another": lambda: select(C.id).where(C.shown == C.email),
    "order by": lambda: select(C).order_by(C.email),
    "order by a function": lambda: select(C.id).order_by(desc(C.email)),
    "order by a name": lambda: select(C.email).order_by("email"),
    "order by a name down": lambda: select(C.email).order_by(desc("email")),
    "order by a label": lambda: select(C.email.label("x")).order_by("x"),
    "group by": lambda: select(func.count()).group_by(C.email),
    "group by a name": lambda: select(C.email, func.count()).group_by("email"),
    "distinct": lambda: select(C.email).distinct(),
    "distinct rows": lambda: select(C).distinct(),
    "distinct function": lambda: select(distinct(C.email)),
    "count distinct": lambda: select(func.count(distinct(C.email))),
    "union": lambda: union(select(C.email), select(C.email)),
    "lower": lambda: select(func.lower(C.email)),
    "max": lambda: select(func.max(C.points)),
    "sum in where": lambda: select(C.id).where(func.length(C.email) > 3),
    "coalesce": lambda: select(func.coalesce(C.name, C.email)),
    "case": lambda: select(case((C.id == 1, C.name), else_=C.email)),
    "cast": lambda: select(cast(C.email, String)),
    "tuple": lambda: select(C.id).where(tuple_(C.email, C.id).in_([("a", 1)])),
    "window": lambda: select(func.row_number().over(partition_by=C.email)),
    "subquery": lambda: select(select(C.email).distinct().subquery()),
    "exists": lambda: select(exists(select(C.id).order_by(C.email))),
    "cte": lambda: select(select(C.id).group_by(C.id, C.email).cte().c.id),
    "join": lambda: select(C.id).join(Order, func.lower(C.email) == literal("x")),
    "having": lambda: select(C.id).group_by(C.id).having(func.min(C.email) == literal("x")),
    "compared with itself": lambda: select(C.id).where(C.email == C.email),
    "scalar subquery": lambda: select(C.id).where(
        func.lower(select(C.email).scalar_subquery()) == "x"
    ),
    "lazy order": lambda: select(Order).options(
        joinedload(Order.customer.and_(func.length(C.name) > 1))
    ),
    "member of a query": lambda: select(C.id).where(literal("b").in_(select(C.name))),
    "written in a cte": lambda: select(
        insert(C).values(email=func.lower("A")).returning(C.id).cte().c.id
    ),
    "plain text": lambda: insert(C).values(email=literal("a@example.com", String)),
    "computed": lambda: update(C).values(name=func.lower("ABC")),
    "another column": lambda: update(C).values(name=C.email),
    "a plain column": lambda: update(C).values(name=C.shown),
    "into a plain column": lambda: update(C).values(shown=C.email),
    "raw": lambda: update(C).values(name=literal_column("'abc'")),
    "from a query": lambda: insert(C).from_select(["email"], select(C.name)),
    "from a plain query": lambda: insert(C).from_select(["email"], select(C.shown)),
    "into plain from a query": lambda: insert(C).from_select(["shown"], select(C.email)),
    "several rows": lambda: insert(C).values([{"email": func.lower("A")}, {"email": "b"}]),
    "on conflict": lambda: (
        sqlite_dialect.insert(C)
        .values(id=1, email="a@example.com")
        .on_conflict_do_update(index_elements=["id"], set_={"email": func.lower("A")})
    ),
    "deleting": lambda: TABLE.delete().where(func.lower(C.email) == "a"),
}
TAKEN: dict[str, Callable[[], Any]] = {
    "count": lambda: select(func.count(C.email)),
    "all of both": lambda: union_all(select(C.email), select(C.email)),
    "distinct others": lambda: select(C.id).distinct().order_by(C.id),
    "bytes": lambda: select(cast(C.email, LargeBinary)),
    "coerced": lambda: select(C.id).order_by(type_coerce(C.email, LargeBinary)),
    "or": lambda: select(C).where(or_(C.email == "a", C.name == "b"), C.id > 0),
    "eager": lambda: select(C).options(joinedload(C.orders)).where(C.email == "a").limit(2),
    "eager apart": lambda: select(C).options(selectinload(C.orders)),
    "other way": lambda: select(Order).options(joinedload(Order.customer)),
    "joined": lambda: select(Order).join(Order.customer).where(C.name == "a"),
    "scalar": lambda: select(select(C.email).limit(1).scalar_subquery()),
    "itself": lambda: update(C).values(email=C.email),
    "excluded": lambda: (
        lambda made: made.on_conflict_do_update(
            index_elements=["id"], set_={"email": made.excluded.email, "name": "x"}
        )
    )(sqlite_dialect.insert(C).values(id=1, email="a@example.com")),
    "null": lambda: update(C).values(name=None),
    "deleted": lambda: TABLE.delete().where(C.email == "a"),
    "exists": lambda: select(exists().where(C.email == "a")),
}


@pytest.mark.parametrize("name", BUILT)
def test_an_operator_that_needs_the_plaintext_is_refused_as_it_is_built(name: str) -> None:
    """No database and no key is needed to see it, and the error names the column."""
    with pytest.raises(RefusedQueryError, match=r"^customers\.\w+: "):
        BUILT[name]()


@pytest.mark.parametrize("name", EXECUTED)
def test_a_clause_that_needs_the_plaintext_is_refused_before_execution(
    sqlite: Engine, keys: Keyring, name: str
) -> None:
    """Each time it is executed, not the first time alone, and the error names the column."""
    with Session(sqlite) as session:
        session.execute(insert(Customer).values(id=1, email="ada@example.com", shown="ada"))
        for _ in range(2):
            with pytest.raises(RefusedQueryError, match=r"^customers\.\w+: "):
                session.execute(EXECUTED[name]())


@pytest.mark.parametrize("name", TAKEN)
def test_what_does_not_need_the_plaintext_is_taken(
    sqlite: Engine, keys: Keyring, name: str
) -> None:
    """Nothing is refused that the database answers as it would for plaintext."""
    with Session(sqlite) as session:
        session.execute(insert(Customer).values(id=1, email="ada@example.com"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            session.execute(TAKEN[name]()).close()


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (lambda kind: Column("c", kind, index=True), "of its sealed bytes"),
        (lambda kind: Column("c", kind, unique=True), "of its sealed bytes"),
        (lambda kind: Column("c", kind, primary_key=True), "neither key nor reference"),
        (lambda kind: Column("c", kind, ForeignKey("t.id")), "neither key nor reference"),
        (lambda kind: Column("c", kind, server_default="x"), "would not be encrypted"),
    ],
)
def test_a_column_that_could_not_be_encrypted_is_refused(
    column: Callable[[Any], Column[Any]], why: str
) -> None:
    """What the database would do with it is seen as the table is declared."""
    with pytest.raises(ConfigurationError, match=rf"^t\.c: .*{why}"):
        Table("t", MetaData(), column(Encrypted(String, key_id="k")))


@pytest.mark.parametrize(
    "options",
    [
        {"unique": True},
        {"bits": 4},
        {"normalisation": "nfc"},
        {"index": "i", "bits": 4, "unique": True},
        {"index": "i", "bits": 3},
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any]) -> None:
    """Above all: what is unique has whole tags."""
    with pytest.raises(ConfigurationError):
        Encrypted(String, key_id="k", **options)


def test_no_error_shows_the_plaintext(session: Session, keys: Keyring) -> None:
    """SQLAlchemy prints the parameters of what failed: those of the caller are never shown."""
    failures: list[BaseException] = []
    secret = "secret@example.com"
    session.add(Customer(email=secret))
    session.commit()
    for made in (
        insert(Customer).values(email=secret, points="wrong"),
        insert(Customer).values(email=secret),  # there is one
        insert(Customer).values(email=secret, shown=object()),  # the driver cannot take it
    ):
        with pytest.raises((StatementError, InvalidInputError)) as caught:
            session.execute(made)
        failures.append(caught.value)
        session.rollback()
    with pytest.raises(StatementError) as missing:
        session.execute(insert(Customer), [{"email": secret, "name": "x"}, {"email": secret}])
    failures.append(missing.value)
    session.rollback()
    assert isinstance(failures[1], IntegrityError)
    for each in failures:
        cause: BaseException | None = each
        while cause is not None:
            assert "secret" not in str(cause)
            cause = cause.__cause__ if cause.__cause__ is not cause else None


def test_a_long_name_is_cut_for_its_index() -> None:
    """PostgreSQL has names of 63 bytes: what is cut off is told by a digest."""
    kind = Encrypted(String, key_id="k", index="i")
    names = []
    for end in "ab":
        table = Table("t" * 40, MetaData(), Column("c" * 40 + end, kind))
        names += [str(each.name) for each in table.indexes]
    assert len(set(names)) == 2
    assert all(len(each) <= 63 for each in names)


def test_a_copy_of_a_table_has_indexes_and_bindings_of_its_own() -> None:
    """Each index once, and values that are bound to the copy's name."""
    copied = TABLE.to_metadata(MetaData(), name="copied")
    assert len(copied.indexes) == 4
    assert copied.c.email.type.bound_to == ("copied", "email")  # type: ignore[attr-defined]
    assert TABLE.c.email.type.bound_to == ("customers", "email")  # type: ignore[attr-defined]


def test_one_type_serves_several_columns() -> None:
    """Each column is bound to its own name, and keeps what was said of a former one."""
    kind = Encrypted(String, key_id="k")
    former = Encrypted(String, key_id="k", bound_to=("t", "former"))
    table = Table("t", MetaData(), Column("a", kind), Column("b", kind), Column("c", former))
    bound = [each.type.bound_to for each in table.c]  # type: ignore[attr-defined]
    assert bound == [("t", "a"), ("t", "b"), ("t", "former")]


@pytest.mark.parametrize(
    "named",
    [
        lambda: UniqueConstraint("c"),
        lambda: UniqueConstraint("b", "c"),
        lambda: PrimaryKeyConstraint("c"),
        lambda: ForeignKeyConstraint(["c"], ["other.id"]),
        lambda: Index("x", "c"),
        lambda: Index("x", "c", "b", unique=True),
    ],
)
def test_a_constraint_on_sealed_bytes_is_refused(named: Callable[[], Any]) -> None:
    """It would hold nothing, since they differ each time, and nothing would show it."""
    kind = Encrypted(String, key_id="k", index="i")
    with pytest.raises(ConfigurationError, match=r"^t\.c: .*sealed bytes"):
        Table("t", MetaData(), Column("b", String), Column("c", kind), named())


def test_an_index_on_the_tag_and_another_column_is_taken() -> None:
    """Such as one for each tenant, which the application declares."""
    kind = Encrypted(String, key_id="k", index="i")
    table = Table("t", MetaData(), Column("b", String), Column("c", kind))
    Index("x", table.c.b, tag_of(table.c.c), unique=True)
    assert {each.name for each in table.indexes} == {"x", "ix_t_c_tag"}
