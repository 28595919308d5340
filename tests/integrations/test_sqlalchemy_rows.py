"""A value that is bound to its row opens there alone, read by its object alone."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Engine,
    ForeignKey,
    Integer,
    Interval,
    String,
    bindparam,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from mycelium_fractal_net.integrations.fields import RefusedQueryError
from mycelium_fractal_net.integrations.sqlalchemy.row_values import RowValue, row_binding
from mycelium_fractal_net.integrations.sqlalchemy.rows import RowBound
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    DecryptionError,
    InvalidInputError,
)
from mycelium_fractal_net.security.keyring.keyring import Keyring

STORED = "_row_bound_diagnosis"  # the attribute that SQLAlchemy knows


class Base(DeclarativeBase):
    """Tables whose values are bound to their rows."""


class Patient(Base):
    """Whose key a default in Python makes."""

    __tablename__ = "patients"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    ward: Mapped[str] = mapped_column(String(20), default="A")
    diagnosis = RowBound(String(40), key_id="customers")
    age = RowBound(Integer, key_id="customers", nullable=True)


class Visit(Base):
    """Whose key has two parts, one of them text."""

    __tablename__ = "visits"

    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, default=1, autoincrement=False)
    reason = RowBound(String, key_id="customers")


class Numbered(Base):
    """Whose key the database makes."""

    __tablename__ = "numbered"

    id: Mapped[int] = mapped_column(primary_key=True)
    note = RowBound(String, key_id="customers")


@pytest.fixture
def rows(engine: Engine, keys: Keyring) -> Iterator[Session]:
    """A session over empty tables."""
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    Base.metadata.drop_all(engine)


@pytest.fixture
def two(rows: Session) -> tuple[Session, uuid.UUID, uuid.UUID]:
    """With two patients."""
    ada = Patient(diagnosis="asthma", age=36)
    bob = Patient(diagnosis="broken arm")
    rows.add_all([ada, bob])
    rows.commit()
    return rows, ada.id, bob.id


Two = tuple[Session, uuid.UUID, uuid.UUID]


def test_a_value_is_read_by_the_object_that_wrote_it_and_by_those_that_load_it(two: Two) -> None:
    """Before it is stored, after it, and in another session; an update is sealed anew."""
    assert Patient(diagnosis="asthma").diagnosis == "asthma"
    session, ada, bob = two
    session.expunge_all()
    found = session.get_one(Patient, ada)
    assert (found.diagnosis, found.age) == ("asthma", 36)
    assert session.get_one(Patient, bob).age is None
    before = session.scalars(select(Patient.diagnosis).where(Patient.id == ada)).one()
    found.diagnosis = "flu"
    found.age = None
    session.commit()
    assert (found.diagnosis, found.age) == ("flu", None)
    after = session.scalars(select(Patient.diagnosis).where(Patient.id == ada)).one()
    assert before.sealed != after.sealed
    found.ward = "B"
    session.commit()
    assert found.diagnosis == "flu"


def test_swapped_rows_are_refused_and_named(two: Two) -> None:
    """A database writer has exchanged the values of two; each names the row that it is in now."""
    session, ada, bob = two
    one, other = session.execute(text("SELECT diagnosis FROM patients")).scalars().all()
    swapped = text("UPDATE patients SET diagnosis = CASE diagnosis WHEN :a THEN :b ELSE :a END")
    session.execute(swapped, {"a": one, "b": other})
    session.commit()
    for key in (ada, bob):
        patient = session.get_one(Patient, key)
        assert patient.ward == "A"
        with pytest.raises(DecryptionError) as caught:
            _ = patient.diagnosis
        assert str(caught.value).startswith(f"patients.diagnosis, id={key}: the message does not")
    with pytest.raises(DecryptionError, match=r"patients\.age"):
        session.execute(text("UPDATE patients SET age = diagnosis"))
        _ = session.get_one(Patient, ada, populate_existing=True).age


def test_a_key_of_several_parts_binds_by_all_of_them(rows: Session) -> None:
    """A default that is a value is known as well."""
    rows.add_all([Visit(day="monday", reason="cough"), Visit(day="monday", number=2, reason="flu")])
    rows.commit()
    rows.execute(text("UPDATE visits SET number = 3 - number + 10"))
    rows.execute(text("UPDATE visits SET number = number - 10"))
    rows.expunge_all()
    with pytest.raises(DecryptionError, match=r"visits\.reason, day=monday, number=1: "):
        _ = rows.get_one(Visit, ("monday", 1)).reason


def test_a_row_whose_key_is_not_known_before_it_is_inserted_is_refused(rows: Session) -> None:
    """The database would make it, too late; where it is given it is known."""
    rows.add(Numbered(note="late"))
    with pytest.raises(InvalidInputError, match=r"numbered\.note: .* whose id is not known"):
        rows.flush()
    rows.rollback()
    rows.add(Numbered(id=7, note="in time"))
    rows.commit()
    assert rows.get_one(Numbered, 7).note == "in time"


def test_a_key_that_is_changed_is_refused(two: Two) -> None:
    """The values would not open any more."""
    session, ada, _ = two
    session.get_one(Patient, ada).id = uuid.uuid4()
    with pytest.raises(InvalidInputError, match="the primary key of a row with values"):
        session.flush()


def test_what_is_stored_for_one_row_is_not_given_to_another(two: Two) -> None:
    """Neither as it was read, nor after it was opened: a value is assigned by itself."""
    session, ada, bob = two
    session.expunge_all()
    one, other = session.get_one(Patient, ada), session.get_one(Patient, bob)
    setattr(other, STORED, getattr(one, STORED))
    with pytest.raises(InvalidInputError, match="the value is of another row: assign it"):
        session.flush()
    session.rollback()
    new = Patient()
    setattr(new, STORED, getattr(session.get_one(Patient, ada), STORED))
    with pytest.raises(InvalidInputError, match="the value is of another row"):
        _ = new.diagnosis
    other.diagnosis = session.get_one(Patient, ada).diagnosis
    session.commit()
    assert session.get_one(Patient, bob).diagnosis == "asthma"


def test_statements_of_core_and_in_bulk_neither_write_nor_read_it(two: Two) -> None:
    """They have no row; what they would write is refused, and what they read shows nothing."""
    session, ada, _ = two
    table: Any = Patient.__table__
    key = uuid.uuid4()
    for statement, given in (
        (insert(table), {"id": key, "ward": "A", "diagnosis": "flu"}),
        (update(table).values(diagnosis="flu"), None),
        (update(Patient).values(diagnosis="flu"), None),
        (update(table).values(diagnosis=bindparam("d")), {"d": b"flu"}),
    ):
        with pytest.raises(InvalidInputError, match="stored by the ORM"):
            session.execute(statement, given)
        session.rollback()
    in_bulk = [{"id": key, "ward": "A", "diagnosis": "flu"}]
    with pytest.raises(DBAPIError) as caught:  # the mapper does not know that name: it is NULL
        session.execute(insert(Patient), in_bulk)
    assert "flu" not in str(caught.value)
    session.rollback()
    with pytest.raises(InvalidInputError, match="stored by the ORM"):
        session.bulk_save_objects([Patient(id=key, ward="A", diagnosis="flu")])
    session.rollback()
    for asked in (select(table.c.diagnosis), select(Patient.diagnosis)):
        for read in session.scalars(asked):
            assert isinstance(read, RowValue)
            assert repr(read) == "<RowValue>"
            with pytest.raises(TypeError, match="may hold plaintext"):
                pickle.dumps(read)
    assert session.scalars(select(Patient.id).where(Patient.age.is_not(None))).all() == [ada]
    assert session.scalars(select(Patient.id).where(Patient.age != None)).all() == [ada]  # noqa: E711


def test_it_is_not_searched() -> None:
    """Its bytes differ in each row and each time."""
    for ask in (
        lambda: Patient.diagnosis == "flu",
        lambda: Patient.diagnosis.like("f%"),
        lambda: "x" + Patient.diagnosis,
    ):
        with pytest.raises(RefusedQueryError, match="not searched"):
            ask()


def test_errors_name_table_column_and_row_and_not_the_value(two: Two, keys: Keyring) -> None:
    """A value that the type refuses, a key that is not there, and one of another kind."""
    session, ada, _ = two
    patient = session.get_one(Patient, ada)
    with pytest.raises(InvalidInputError) as caught:
        patient.diagnosis = "secret" * 10
    assert str(caught.value) == f"patients.diagnosis, id={ada}: the value is longer than 40"
    setattr(patient, "_row_bound_age", RowValue(spelled=b"many"))  # noqa: B010 - not in its type
    session.commit()
    with pytest.raises(InvalidInputError, match=rf"patients\.age, id={ada}: .* no integer"):
        _ = patient.age
    with pytest.raises(InvalidInputError, match="whole numbers, text, bytes or UUIDs"):
        row_binding("t", "c", [1.5])
    with pytest.raises(ConfigurationError, match="no encrypted column of type"):
        RowBound(Interval(), key_id="customers")


def test_parts_of_other_kinds_bind_otherwise() -> None:
    """A number, its text and its bytes are three keys."""
    parts: list[Any] = [1, "1", b"1", uuid.UUID(int=1)]
    assert len({row_binding("t", "c", [each]) for each in parts}) == 4
    assert row_binding("t", "c", ["a", "b"]) != row_binding("t", "c", ["ab"])


class Remarked:
    """What several tables have."""

    remark = RowBound(String, key_id="customers", nullable=True)


class Nurse(Remarked, Base):
    """With a column of a mixin."""

    __tablename__ = "nurses"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    kind: Mapped[str] = mapped_column(String(10), default="nurse")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "nurse"}  # noqa: RUF012


class Midwife(Nurse):
    """With a table of its own beside the one of nurses."""

    __tablename__ = "midwives"

    id: Mapped[uuid.UUID] = mapped_column(ForeignKey("nurses.id"), primary_key=True)
    licence = RowBound(String, key_id="customers")
    __mapper_args__ = {"polymorphic_identity": "midwife"}  # noqa: RUF012


def test_a_mixin_and_a_subclass_have_such_values_too(rows: Session) -> None:
    """Each is bound to the table that its column is in."""
    rows.add_all([Nurse(remark="kind"), Midwife(remark="quick", licence="17")])
    rows.commit()
    found = rows.scalars(select(Nurse).order_by(Nurse.kind)).all()
    assert [each.remark for each in found] == ["quick", "kind"]
    (midwife,) = rows.scalars(select(Midwife))
    assert midwife.licence == "17"
    midwife.licence = "18"
    midwife.remark = None
    rows.commit()
    assert (midwife.licence, midwife.remark) == ("18", None)
