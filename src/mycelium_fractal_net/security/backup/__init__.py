"""Backups of a key store: made while others write it, and put into an empty one elsewhere.

One sealed file, which the store's master key opens, of rows that every database takes. See
docs/backup.md, and docs/format.md for its bytes.
"""

from __future__ import annotations

from mycelium_fractal_net.security.backup.layout import Backup
from mycelium_fractal_net.security.backup.making import activate_held, record_backup, write_backup
from mycelium_fractal_net.security.backup.opened import verify_backup
from mycelium_fractal_net.security.backup.restore import Restored, restore_backup

__all__ = [
    "Backup",
    "Restored",
    "activate_held",
    "record_backup",
    "restore_backup",
    "verify_backup",
    "write_backup",
]
