"""Columns of a database that is the user's, changed in place while an application runs."""

from mycelium_fractal_net.columns.column import MessageColumn
from mycelium_fractal_net.columns.column_database import shown_url
from mycelium_fractal_net.columns.column_report import ColumnReport, Failure, json_line
from mycelium_fractal_net.columns.encrypted_field import EncryptedField
from mycelium_fractal_net.columns.messages import rewrap_column
from mycelium_fractal_net.columns.sweep import beginnings, count_values

__all__ = [
    "ColumnReport",
    "EncryptedField",
    "Failure",
    "MessageColumn",
    "beginnings",
    "count_values",
    "json_line",
    "rewrap_column",
    "shown_url",
]
