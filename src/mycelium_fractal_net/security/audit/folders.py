"""The audit folder: its id, a folder for each chain, and in each the lock of who writes it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.byte_io.durable import create_private, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

LOCK: Final = "lock"
_CHAIN_ID: Final = re.compile(r"[0-9a-f]{32}")


def chain_folders(folder: Path) -> list[Path]:
    """The chains in an audit folder, in order of their ids."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if _CHAIN_ID.fullmatch(p.name) and p.is_dir())


def lock_chain(path: Path) -> int | None:
    """The descriptor of a chain's lock, None where another process has it."""
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path / LOCK, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def machine_id(folder: Path) -> str:
    """The id of an audit folder, made where there is none: 32 hexadecimal digits.

    Raises :class:`OSError`.
    """
    path = folder / "machine"
    if not path.exists():
        with contextlib.suppress(FileExistsError):
            _make_machine_id(folder, path)
    return path.read_text()


def _make_machine_id(folder: Path, path: Path) -> None:
    temporary = folder / f".machine-{secrets.token_hex(8)}"
    descriptor = create_private(temporary)
    try:
        os.write(descriptor, secrets.token_hex(16).encode())
        os.fsync(descriptor)
        os.link(temporary, path)
    finally:
        os.close(descriptor)
        temporary.unlink()
    sync_folder(folder)
