"""Columns of a database that is the user's, changed in place while an application runs."""

from mycelium_fractal_net.columns.database import shown_url
from mycelium_fractal_net.columns.migrating import (
    commit_column,
    migrate_column,
    roll_back_column,
)
from mycelium_fractal_net.columns.report import ColumnReport, Failure, json_line
from mycelium_fractal_net.columns.rewrapping import rewrap_column
from mycelium_fractal_net.columns.sweep import beginnings, count_values

__all__ = [
    "ColumnReport",
    "Failure",
    "beginnings",
    "commit_column",
    "count_values",
    "json_line",
    "migrate_column",
    "rewrap_column",
    "roll_back_column",
    "shown_url",
]
