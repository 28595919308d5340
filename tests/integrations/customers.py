"""Customers of an application, with encrypted columns of each kind."""

from __future__ import annotations

import enum
import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import (
    JSON,
    Date,
    DateTime,
    Enum,
    ForeignKey,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Table,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from mycelium_fractal_net.integrations.sqlalchemy import Encrypted


class Tier(enum.Enum):
    """How much a customer pays."""

    BASIC = 1
    GOLD = 2


class Base(DeclarativeBase):
    """The tables of the application."""


class Customer(Base):
    """Found by e-mail, which is unique, by name, and by a short tag of the town."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    shown: Mapped[str | None] = mapped_column(String(20))
    email: Mapped[str] = mapped_column(
        Encrypted(
            String(80),
            key_id="customers",
            index="customers-index",
            normalisation="caseless",
            unique=True,
        )
    )
    name: Mapped[str | None] = mapped_column(
        Encrypted(String, key_id="customers", index="customers-index")
    )
    town: Mapped[str | None] = mapped_column(
        Encrypted(String, key_id="customers", index="customers-index", bits=4)
    )
    born: Mapped[date | None] = mapped_column(Encrypted(Date, key_id="customers"))
    seen: Mapped[datetime | None] = mapped_column(
        Encrypted(DateTime(timezone=True), key_id="customers")
    )
    balance: Mapped[Decimal | None] = mapped_column(
        Encrypted(Numeric(10, 2), key_id="customers", index="customers-index")
    )
    points: Mapped[int | None] = mapped_column(Encrypted(Integer, key_id="customers"))
    photo: Mapped[bytes | None] = mapped_column(Encrypted(LargeBinary, key_id="customers"))
    notes: Mapped[Any] = mapped_column(Encrypted(JSON, key_id="customers"), nullable=True)
    ticket: Mapped[uuid.UUID | None] = mapped_column(Encrypted(Uuid, key_id="customers"))
    tier: Mapped[Tier | None] = mapped_column(Encrypted(Enum(Tier), key_id="customers"))
    orders: Mapped[list[Order]] = relationship(back_populates="customer")


TABLE = cast("Table", Customer.__table__)
EMAIL = cast("Encrypted", TABLE.c.email.type)


class Order(Base):
    """Of one customer."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    customer: Mapped[Customer] = relationship(back_populates="orders")
