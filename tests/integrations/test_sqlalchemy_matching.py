"""A comparison with a value keeps its own tags, wherever it stands and however it is cached."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from sqlalchemy import Engine, and_, case, delete, exists, lambda_stmt, not_, or_, select, update
from sqlalchemy.orm import Session, joinedload, selectinload, with_loader_criteria

from mycelium_fractal_net import Verb
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.integrations.customers import TABLE, Customer, Order

ADA, BOB = "ada@example.com", "bob@example.com"


@pytest.fixture
def two(session: Session) -> Session:
    """With a customer and an order for each of two names."""
    for number, (name, email) in enumerate([("Ada", ADA), ("Bob", BOB)], 1):
        customer = Customer(id=number, email=email, name=name)
        session.add_all([customer, Order(id=number, customer=customer)])
    session.commit()
    return session


def test_it_is_an_expression_as_any_other(two: Session) -> None:
    """Alone, negated, joined with others, selected, in CASE and in a subquery."""
    for email, number in ((ADA, 1), (BOB, 2)):
        same = Customer.email == email
        other = [each for each in (1, 2) if each != number]
        for asked, expected in (
            (same, [number]),
            (not_(same), other),
            (not_(not_(same)), [number]),
            (and_(same, Customer.name == "Ada"), [number] if number == 1 else []),
            (or_(same, Customer.email == BOB), [1, 2] if number == 1 else [2]),
            (or_(same, and_(Customer.id == 1, not_(same))), sorted({1, number})),
            (exists(select(Order.id).where(Order.customer_id == Customer.id, same)), [number]),
            (case((same, 1), else_=0) == 1, [number]),
            (same.is_(True), [number]),
        ):
            found = select(Customer.id).where(asked).order_by(Customer.id)
            assert two.scalars(found).all() == expected, str(asked)
        chosen = select(same).order_by(Customer.id)
        assert [bool(each) for each in two.scalars(chosen)] == [number == 1, number == 2]


@pytest.mark.parametrize("load", [joinedload, selectinload])
def test_what_is_loaded_with_a_row_has_the_value_of_this_statement(two: Session, load: Any) -> None:
    """SQLAlchemy keeps the statement of the first value, and gives it the next one's."""
    for name in ("Ada", "Bob", "Ada", "Nobody"):
        for wanted in (Customer.name == name, Customer.name.in_([name, "Somebody"])):
            two.expunge_all()
            asked = select(Order).options(load(Order.customer.and_(wanted)))
            found = [each.customer.name for each in two.scalars(asked) if each.customer]
            assert found == ([] if name == "Nobody" else [name])
            assert two.scalars(select(Customer.name).where(wanted)).all() == found


def test_a_criterion_for_every_query_has_its_own_value(two: Session) -> None:
    """Such as the one tenant that a session sees."""
    for email, number in ((ADA, 1), (BOB, 2)):
        seen = with_loader_criteria(Customer, Customer.email == email)
        assert two.scalars(select(Customer.id).options(seen)).all() == [number]


def test_rows_are_changed_and_deleted_by_it(two: Session) -> None:
    """Those of the value, in the session as well."""
    for email, number in ((ADA, 1), (BOB, 2)):
        two.execute(update(Customer).where(Customer.email == email).values(shown="x"))
        changed = select(Customer.id).where(Customer.shown == "x").order_by(Customer.id)
        assert two.scalars(changed).all() == [1, 2][:number]
    two.execute(delete(Order))
    two.execute(delete(Customer).where(Customer.email == ADA))
    assert two.scalars(select(Customer.email)).all() == [BOB]


def test_what_was_compiled_before_a_rotation_finds_rows_after_it(
    sqlite: Engine, own_keys: Keyring
) -> None:
    """Without a cache, in a lambda, and as a copy from another process."""
    kept = select(TABLE.c.id).where(TABLE.c.email == ADA)
    there = pickle.loads(pickle.dumps(kept))
    uncached = sqlite.execution_options(compiled_cache=None)

    def ask() -> list[Any]:
        with sqlite.connect() as connection, uncached.connect() as other:
            in_lambda = lambda_stmt(
                lambda: select(TABLE.c.id).where(TABLE.c.email == "ada@example.com")
            )
            return [
                connection.scalars(kept).all(),
                other.scalars(kept).all(),
                connection.scalars(in_lambda).all(),
                connection.scalars(there).all(),
            ]

    with sqlite.begin() as connection:
        connection.execute(TABLE.insert().values(id=1, email=ADA))
    assert ask() == [[1]] * 4
    own_keys.provider.keys.rotate("customers-index")
    own_keys.provider.states.apply(Verb.ACTIVATE, "customers-index:v2")
    own_keys.refresh()
    assert ask() == [[1]] * 4
    with sqlite.begin() as connection:
        connection.execute(TABLE.update().values(email=ADA))
    assert ask() == [[1]] * 4


def test_a_statement_that_is_shown_needs_no_keyring() -> None:
    """Its text is that of a list, whose values are not known yet."""
    assert "substr(customers.email, 1, 32) IN (" in str(
        select(TABLE.c.id).where(TABLE.c.email == ADA)
    )


def test_statements_without_tags_keep_what_they_are_cached_by(two: Session) -> None:
    """Only one with tags has its key made anew; that of any other is made once."""
    connection = two.connection()
    plain, tagged = select(TABLE.c.id), select(TABLE.c.id).where(TABLE.c.email == ADA)
    keys = []
    for _ in range(2):
        for each in (plain, tagged):
            connection.execute(each)
            keys.append(vars(each)["_generate_cache_key"])
    assert keys[0] is keys[2]
    assert keys[1] is not keys[3]


def test_one_comparison_twice_in_a_statement_is_not_two_of_other_values(two: Session) -> None:
    """What is cached for the first would give the second the wrong one's tags."""
    same = Customer.email == ADA
    for one, other, found in (
        (same, same, [1]),
        (Customer.email == ADA, Customer.email == BOB, [1, 2]),
        (Customer.email == BOB, Customer.email == BOB, [2]),
    ):
        asked = select(Customer.id).where(or_(one, other)).order_by(Customer.id)
        assert two.scalars(asked).all() == found


def test_comparisons_from_another_process_do_not_take_the_names_of_those_of_this_one(
    two: Session,
) -> None:
    """Each is numbered where it is; a copy that arrives gets a number of its own."""
    here = TABLE.c.email == ADA
    there = pickle.loads(pickle.dumps(TABLE.c.email == BOB))
    there.__setstate__({**vars(there), "_number": here._number, "column": TABLE.c.email})
    asked = select(TABLE.c.id).where(or_(here, there)).order_by(TABLE.c.id)
    assert two.scalars(asked).all() == [1, 2]
    assert there._number != here._number
