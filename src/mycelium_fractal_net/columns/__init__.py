"""Columns of a database that is the user's, changed in place while an application runs."""

from mycelium_fractal_net.columns.column import MessageColumn
from mycelium_fractal_net.columns.column_database import shown_url
from mycelium_fractal_net.columns.column_report import ColumnReport, Failure, json_line
from mycelium_fractal_net.columns.encrypted_field import EncryptedField
from mycelium_fractal_net.columns.fernet import Fernet, django_fernet_keys, sqlalchemy_utils_key
from mycelium_fractal_net.columns.filling import count_pairs, fill_column
from mycelium_fractal_net.columns.messages import rewrap_column
from mycelium_fractal_net.columns.plaintext import Plaintext
from mycelium_fractal_net.columns.sweep import beginnings, count_values
from mycelium_fractal_net.columns.taking_over import take_over_column

__all__ = [
    "ColumnReport",
    "EncryptedField",
    "Failure",
    "Fernet",
    "MessageColumn",
    "Plaintext",
    "beginnings",
    "count_pairs",
    "count_values",
    "django_fernet_keys",
    "fill_column",
    "json_line",
    "rewrap_column",
    "shown_url",
    "sqlalchemy_utils_key",
    "take_over_column",
]
