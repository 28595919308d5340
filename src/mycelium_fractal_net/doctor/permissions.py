"""Files and folders that others may use."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mycelium_fractal_net.bootstrap.custodians import scheme_of
from mycelium_fractal_net.config import Settings
from mycelium_fractal_net.doctor.findings import Finding, critical
from mycelium_fractal_net.security.byte_io.private import check_private
from mycelium_fractal_net.security.errors import MfnError


def file_findings(settings: Settings) -> Iterator[Finding]:
    """Files and folders that others may use."""
    paths = scheme_of(settings).files(settings)
    store = settings.store
    if isinstance(store, Path):
        beside = (
            store.with_name(store.name + end) for end in ("", "-wal", "-shm", ".lock", ".move")
        )
        paths.extend((store.parent, *beside))
    audit = settings.audit_folder
    paths.append(audit)
    if os.access(audit, os.R_OK | os.X_OK):
        paths.extend(path for path in sorted(audit.iterdir()) if path.is_dir())
    for path in dict.fromkeys(paths):
        if not path.exists():
            continue
        try:
            check_private(path)
        except MfnError as error:
            yield critical("file-modes", str(path), str(error))
    yield from _tls_key(settings)


def _tls_key(settings: Settings) -> Iterator[Finding]:
    """A private key of TLS that everybody may read. A group may: hosts share keys so."""
    path = settings.security.tls.private_key
    try:
        mode = None if path is None else path.stat().st_mode
    except OSError:
        return  # 'mfn serve' says so
    if mode is not None and mode & stat.S_IRWXO:
        yield critical(
            "tls-key",
            str(path),
            f"every user of this machine may use it (mode {stat.S_IMODE(mode):04o});"
            f" run: chmod o= {path}",
        )
