"""The driver's error in our words: what only other servers, disks and languages bring about."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from mycelium_fractal_net.security.errors import StoreFullError, StoreUnavailableError, kind_of
from mycelium_fractal_net.security.key_store import causes
from mycelium_fractal_net.security.key_store.causes import unavailable, unwritable


def driver_error(text: str = "", **attributes: Any) -> DBAPIError:
    """What SQLAlchemy makes of a driver's error with these attributes."""
    original = RuntimeError(text)
    for name, value in attributes.items():
        setattr(original, name, value)
    return DBAPIError("SELECT secret", ("secret",), original)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (driver_error(sqlstate="57P03"), "starting, stopping or starting again"),
        (driver_error(sqlstate="57014"), "did not answer in time"),
        (driver_error(sqlstate="40P01"), "another writer was in the way"),
        (driver_error(sqlstate="53300"), "no connection left"),
        (driver_error(sqlstate="XX001"), "reports damage"),
        (driver_error(sqlstate="ZZ999"), r"fails \(ZZ999\)"),
        (driver_error("of a kind that nobody knows"), r"fails \(RuntimeError\)"),
        (
            driver_error("Passwort falsch", pgconn=SimpleNamespace(used_password=True)),
            "refuses the user or the password",
        ),
        (driver_error("certificate verify failed"), "certificate is not one"),
        (driver_error("SSL error: unexpected eof"), "TLS with its server fails"),
        (driver_error("FATAL: too many clients already"), "no connection left"),
        (driver_error("Network is unreachable"), "no network leads to the host"),
        (driver_error("the connection is closed"), "broke off"),
        (
            DBAPIError("SELECT secret", None, OSError(errno.ENOMEM, "Cannot allocate memory")),
            "the connection to its database fails: Cannot allocate memory",
        ),
        (PoolTimeoutError(), "all connections of this process are in use"),
        (NoSuchModuleError("x"), r"fails \(NoSuchModuleError\)"),
    ],
)
def test_an_error_of_a_server_is_told_without_its_text(error: Any, words: str) -> None:
    """By its SQLSTATE, by the stage at which a connection ended, or by its class."""
    found = unavailable(error, None, "mfn@host/keys")
    assert isinstance(found, StoreUnavailableError)
    with pytest.raises(StoreUnavailableError, match=words):
        raise found
    assert "secret" not in str(found)
    assert "mfn@host" not in (found.detail or "")


@pytest.mark.parametrize("state", ["53100"])
def test_a_full_disk_of_a_server_is_a_full_disk(state: str) -> None:
    """With the exit code of one, and 503 over HTTP."""
    found = unavailable(driver_error(sqlstate=state), None, "mfn@host/keys")
    assert isinstance(found, StoreFullError)
    assert (kind_of(found).exit_code, kind_of(found).status) == (6, 503)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_quota_is_a_full_disk_too(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite calls it an error of the disk: what writing comes to is tried."""
    monkeypatch.setattr(causes, "_write_error", lambda _: OSError(number, os.strerror(number)))
    found = unavailable(
        driver_error(sqlite_errorname="SQLITE_IOERR_WRITE"), tmp_path / "keys.db", ""
    )
    assert isinstance(found, StoreFullError)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SQLITE_FULL", "disk of the key store is full"),
        ("SQLITE_BUSY_SNAPSHOT", "another process holds its file locked"),
        ("SQLITE_READONLY_DBMOVED", "its file or folder is read-only"),
        ("SQLITE_CORRUPT_INDEX", "its file is damaged"),
        ("SQLITE_IOERR_READ", r"its file cannot be used \(SQLITE_IOERR_READ\)"),
        ("", r"its file cannot be used \(unknown\)"),
    ],
)
def test_an_error_of_a_file_is_told_by_its_code(name: str, words: str, tmp_path: Path) -> None:
    """With the file's name."""
    found = unavailable(driver_error(sqlite_errorname=name), tmp_path / "keys.db", "")
    with pytest.raises(StoreUnavailableError, match=words):
        raise found
    assert "keys.db" in str(found)


def test_an_error_of_the_system_is_told_by_its_number(tmp_path: Path) -> None:
    """A folder that is gone, for example; where nothing can be written to try it."""
    gone = tmp_path / "gone" / "keys.db"
    found = unavailable(driver_error(sqlite_errorname="SQLITE_CANTOPEN"), gone, "")
    assert "it cannot be written: No such file or directory" in str(found)
    for number in (errno.EROFS, errno.EACCES):
        assert "read-only" in str(unwritable(OSError(number, os.strerror(number)), gone))


def test_a_cause_crosses_processes() -> None:
    """Text, detail and class."""
    found = unwritable(OSError(errno.ENOSPC, "No space left on device"), Path("/x/keys.db"))
    again = pickle.loads(pickle.dumps(found))
    assert (type(again), str(again), again.detail) == (StoreFullError, str(found), found.detail)
