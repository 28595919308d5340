"""Encrypted columns in the migrations that Alembic writes."""

from __future__ import annotations

from typing import Any, Literal

from mycelium_fractal_net.integrations.sqlalchemy.encrypted import Encrypted


def render_item(kind: str, item: Any, context: Any) -> str | Literal[False]:
    """For ``context.configure(render_item=render_item)`` in ``env.py``.

    A migration says what the database has: a column of bytes. It runs without keys, and goes on
    running when the application's type has other options.
    """
    if kind == "type" and isinstance(item, Encrypted):
        prefix = context.opts["sqlalchemy_module_prefix"]
        return f"{prefix}LargeBinary()"
    return False
