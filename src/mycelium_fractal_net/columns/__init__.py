"""Columns of a database that is the user's: rewrapped in place, while an application runs."""

from mycelium_fractal_net.columns.report import ColumnReport, Failure, json_line
from mycelium_fractal_net.columns.rewrapping import rewrap_column

__all__ = [
    "ColumnReport",
    "Failure",
    "json_line",
    "rewrap_column",
]
