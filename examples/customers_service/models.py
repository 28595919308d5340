"""Customers whose e-mail address, name and notes nobody reads who has the database alone."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mycelium_fractal_net.integrations.sqlalchemy import Encrypted


class Base(DeclarativeBase):
    """The tables of this service."""


class Customer(Base):
    """Found by e-mail address, whatever its case; there is one customer for each."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(
        Encrypted(
            String(254),
            key_id="customers",
            index="customers-index",
            normalisation="caseless",
            unique=True,
        )
    )
    name: Mapped[str] = mapped_column(Encrypted(String(120), key_id="customers"))
    notes: Mapped[Any] = mapped_column(Encrypted(JSON, key_id="customers"), nullable=True)
