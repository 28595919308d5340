"""A service of customers: made, read, and found by their e-mail address."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from models import Base, Customer
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import create_engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.integrations.sqlalchemy import configure

engine = create_engine(os.environ.get("CUSTOMERS_DATABASE", "sqlite:///customers.db"))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """The keyring is opened before the first request, and closed after the last."""
    with open_keyring() as keyring:
        configure(keyring)
        Base.metadata.create_all(engine)
        yield
        configure(None)
    engine.dispose()


app = FastAPI(title="Customers", lifespan=lifespan)

Email = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=254, pattern="^[^@]+@[^@]+$")
]


class Wanted(BaseModel):
    """Whom to look for."""

    email: Email


class NewCustomer(Wanted):
    """What a customer says."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    notes: Any = None


class Shown(NewCustomer):
    """What is told of a customer."""

    model_config = ConfigDict(from_attributes=True)
    id: int


def session() -> Iterator[Session]:
    """One for each request."""
    with Session(engine) as opened:
        yield opened


Opened = Annotated[Session, Depends(session)]


@app.post("/customers", status_code=201)
def create(given: NewCustomer, session: Opened) -> Shown:
    """409 where somebody has the address, also while the index key is rotated."""
    customer = Customer(**given.model_dump())
    session.add(customer)
    try:
        session.commit()
    except IntegrityError:
        raise HTTPException(409, "there is a customer with this address") from None
    return Shown.model_validate(customer)


@app.get("/customers/{number}")
def read(number: int, session: Opened) -> Shown:
    """404 where there is none."""
    customer = session.get(Customer, number)
    if customer is None:
        raise HTTPException(404, "there is no such customer")
    return Shown.model_validate(customer)


@app.post("/customers/search")
def search(wanted: Wanted, session: Opened) -> Shown:
    """By the whole address, which stands in no URL: those are logged."""
    customer = session.scalars(select(Customer).where(Customer.email == wanted.email)).one_or_none()
    if customer is None:
        raise HTTPException(404, "there is no such customer")
    return Shown.model_validate(customer)
