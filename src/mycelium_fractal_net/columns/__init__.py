"""Columns of a database that is the user's, changed in place while an application runs."""

from mycelium_fractal_net.columns.migrating import (
    ColumnCount,
    commit_column,
    count_column,
    migrate_column,
    roll_back_column,
)
from mycelium_fractal_net.columns.report import ColumnReport, Failure, json_line
from mycelium_fractal_net.columns.rewrapping import rewrap_column

__all__ = [
    "ColumnCount",
    "ColumnReport",
    "Failure",
    "commit_column",
    "count_column",
    "json_line",
    "migrate_column",
    "rewrap_column",
    "roll_back_column",
]
