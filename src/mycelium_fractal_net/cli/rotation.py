"""``mfn rotation``: what becomes of keys with time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.cli import retention

if TYPE_CHECKING:
    import typer

__all__ = ["register"]


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``mfn rotation``."""
    retention.register_cleanup(group)
